#include <limits>

#include "fused_plan.h"

namespace glulam {

namespace {

// Whether two forests take every row the same ways, to leaves of the same numbers.
template <typename T>
bool same_splits(const Tables<T>& a, const Tables<T>& b) {
  return a.mode == b.mode && a.feature == b.feature && a.split == b.split && a.nan_true == b.nan_true &&
         a.yes == b.yes && a.no == b.no && a.roots == b.roots && a.leaf_start == b.leaf_start && a.set_of == b.set_of &&
         a.set_start == b.set_start && a.set_value == b.set_value;
}

// Whether each leaf has one weight.
template <typename T>
bool plain_leaves(const Tables<T>& t) {
  for (size_t i = 0; i < t.leaf_start.size(); ++i)
    if (t.leaf_start[i] != static_cast<int64_t>(i)) return false;
  return true;
}

template <typename T>
void add_targets(Tables<T>& all, const std::vector<Tables<T>>& parts) {
  const size_t n_leaves = all.leaf_start.size() - 1, n = parts.size();
  std::vector<T> weight;
  weight.reserve(n_leaves * n);
  all.target.clear();
  all.target.reserve(n_leaves * n);
  for (size_t leaf = 0; leaf < n_leaves; ++leaf) {
    all.leaf_start[leaf] = static_cast<int64_t>(leaf * n);
    for (size_t part = 0; part < n; ++part) {
      weight.push_back(part == 0 ? all.weight[leaf] : parts[part].weight[leaf]);
      all.target.push_back(static_cast<int64_t>(part));
    }
  }
  all.leaf_start[n_leaves] = static_cast<int64_t>(n_leaves * n);
  all.weight = std::move(weight);
}

template <typename V>
void append(std::vector<V>& to, const std::vector<V>& from, V shift = V()) {
  to.reserve(to.size() + from.size());
  for (V value : from) to.push_back(static_cast<V>(value + shift));
}

// Nodes keep their numbers but for a shift; leaves, which are negative, shift the other way.
void append_ids(std::vector<int32_t>& to, const std::vector<int32_t>& from, int32_t n_splits, int32_t n_leaves) {
  to.reserve(to.size() + from.size());
  for (int32_t id : from) to.push_back(id < 0 ? id - n_leaves : id + n_splits);
}

template <typename T>
void add_trees(Tables<T>& all, const Tables<T>& part, int64_t target) {
  const size_t n_splits = all.mode.size(), n_leaves = all.leaf_start.size() - 1;
  constexpr size_t most = std::numeric_limits<int32_t>::max();
  if (n_splits + part.mode.size() >= most || n_leaves + part.leaf_start.size() >= most) throw Refused("too many nodes");
  append_ids(all.yes, part.yes, static_cast<int32_t>(n_splits), static_cast<int32_t>(n_leaves));
  append_ids(all.no, part.no, static_cast<int32_t>(n_splits), static_cast<int32_t>(n_leaves));
  append_ids(all.roots, part.roots, static_cast<int32_t>(n_splits), static_cast<int32_t>(n_leaves));
  const int64_t n_weights = all.leaf_start.back();
  all.leaf_start.pop_back();
  append(all.leaf_start, part.leaf_start, n_weights);
  append(all.target, part.target, target);
  all.weight.insert(all.weight.end(), part.weight.begin(), part.weight.end());

  const size_t n_sets = all.set_start.empty() ? 0 : all.set_start.size() - 1;
  all.set_of.resize(n_splits, -1);
  for (int32_t set : part.set_of) all.set_of.push_back(set < 0 ? -1 : set + static_cast<int32_t>(n_sets));
  all.set_of.resize(n_splits + part.mode.size(), -1);
  if (!part.set_start.empty()) {
    const int64_t n_values = all.set_start.empty() ? 0 : all.set_start.back();
    if (!all.set_start.empty()) all.set_start.pop_back();
    append(all.set_start, part.set_start, n_values);
    all.set_value.insert(all.set_value.end(), part.set_value.begin(), part.set_value.end());
  }

  all.mode.insert(all.mode.end(), part.mode.begin(), part.mode.end());
  append(all.feature, part.feature);
  all.split.insert(all.split.end(), part.split.begin(), part.split.end());
  append(all.nan_true, part.nan_true);
}

}  // namespace

template <typename T>
Tables<T> joined(std::vector<Tables<T>>& parts) {
  Tables<T> all = std::move(parts.front());
  if (parts.size() == 1) return all;
  bool shared = plain_leaves(all);
  for (size_t i = 1; i < parts.size() && shared; ++i) shared = same_splits(all, parts[i]);
  if (shared) {
    add_targets(all, parts);
  } else {
    for (size_t i = 1; i < parts.size(); ++i) {
      add_trees(all, parts[i], static_cast<int64_t>(i));
      parts[i] = Tables<T>();
    }
  }
  all.n_targets = static_cast<int64_t>(parts.size());
  return all;
}

template Tables<float> joined(std::vector<Tables<float>>&);
template Tables<double> joined(std::vector<Tables<double>>&);

}  // namespace glulam
