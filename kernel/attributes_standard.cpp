// The attributes of TreeEnsembleRegressor and TreeEnsembleClassifier: nodes are named by a tree's id and a node's id,
// leaves are nodes, and what leaves add is listed apart.
#include <algorithm>
#include <limits>
#include <utility>

#include "attributes.h"
#include "members.h"

namespace glulam {

namespace {

// A node as it is listed. Children and votes name nodes by ids; only what was found there is used.
class Listed {
 public:
  Listed(const std::vector<int64_t>& tree_ids, std::vector<int64_t> node_ids) : node_ids_(std::move(node_ids)) {
    same_length("nodes_treeids", tree_ids.size(), "nodes_nodeids", node_ids_.size());
    if (node_ids_.empty()) throw Refused("nodes_nodeids: no node");
    if (node_ids_.size() > kMaxNodes)
      throw Refused("nodes_nodeids: too many nodes: " + std::to_string(node_ids_.size()));
    const int32_t n = static_cast<int32_t>(node_ids_.size());
    for (int32_t i = 0; i < n; ++i) {
      if (i == 0 || tree_ids[i] != tree_ids[i - 1]) {
        if (i) trees_.back().end = i;
        trees_.push_back({tree_ids[i], i, n, true});
      }
      if (node_ids_[i] != i - trees_.back().start) trees_.back().in_order = false;
    }
    for (const Tree& tree : trees_)
      if (!tree.in_order) sort(tree);
    by_id_.resize(trees_.size());
    for (size_t i = 0; i < trees_.size(); ++i) by_id_[i] = static_cast<int32_t>(i);
    const auto less = [&](int32_t a, int32_t b) { return trees_[a].id < trees_[b].id; };
    std::sort(by_id_.begin(), by_id_.end(), less);
    for (size_t i = 1; i < by_id_.size(); ++i)
      if (!less(by_id_[i - 1], by_id_[i]))
        throw Refused("nodes_treeids: the nodes of tree " + std::to_string(trees_[by_id_[i]].id) +
                      " are not listed together");
  }

  size_t size() const { return node_ids_.size(); }
  size_t n_trees() const { return trees_.size(); }
  int32_t first(size_t tree) const { return trees_[tree].start; }
  int32_t end(size_t tree) const { return trees_[tree].end; }

  // Where the tree of this id is among the trees; throws where it is not.
  size_t tree(int64_t id, const std::string& name) const {
    const auto found = std::lower_bound(by_id_.begin(), by_id_.end(), id,
                                        [&](int32_t tree, int64_t other) { return trees_[tree].id < other; });
    if (found == by_id_.end() || trees_[*found].id != id) throw Refused(name + ": no tree " + std::to_string(id));
    return static_cast<size_t>(*found);
  }

  // Where the node of this id is listed; throws where it is not.
  int32_t node(size_t tree, int64_t id, const std::string& name) const {
    const Tree& in = trees_[tree];
    if (in.in_order) {
      if (id >= 0 && id < in.end - in.start) return in.start + static_cast<int32_t>(id);
    } else {
      const auto first = sorted_.begin() + in.start, last = sorted_.begin() + in.end;
      const auto found =
          std::lower_bound(first, last, id, [&](int32_t i, int64_t other) { return node_ids_[i] < other; });
      if (found != last && node_ids_[*found] == id) return *found;
    }
    throw Refused(name + ": no node " + std::to_string(id) + " in tree " + std::to_string(in.id));
  }

 private:
  struct Tree {
    int64_t id;
    int32_t start, end;
    bool in_order;  // whether the ids count up from 0
  };

  void sort(const Tree& tree) {
    if (sorted_.empty()) sorted_.resize(node_ids_.size());
    const auto first = sorted_.begin() + tree.start, last = sorted_.begin() + tree.end;
    for (int32_t i = tree.start; i < tree.end; ++i) sorted_[i] = i;
    std::sort(first, last, [&](int32_t a, int32_t b) { return node_ids_[a] < node_ids_[b]; });
    const auto twice =
        std::adjacent_find(first, last, [&](int32_t a, int32_t b) { return node_ids_[a] == node_ids_[b]; });
    if (twice != last)
      throw Refused("nodes_nodeids: node " + std::to_string(node_ids_[*twice]) + " is twice in tree " +
                    std::to_string(tree.id));
  }

  std::vector<int64_t> node_ids_;
  std::vector<Tree> trees_;
  std::vector<int32_t> by_id_;   // trees, by their ids
  std::vector<int32_t> sorted_;  // of trees that are not in order: nodes, by their ids
};

template <typename Number>
Number named(const std::string& name, const std::string& text,
             std::initializer_list<std::pair<const char*, Number>> known) {
  for (const auto& entry : known)
    if (text == entry.first) return entry.second;
  throw Refused(name + ": unknown: " + text);
}

Aggregate read_aggregate(const Attributes& node) {
  return named<Aggregate>(
      "aggregate_function", node.text("aggregate_function", "SUM"),
      {{"SUM", Aggregate::kSum}, {"AVERAGE", Aggregate::kAverage}, {"MIN", Aggregate::kMin}, {"MAX", Aggregate::kMax}});
}

PostTransform read_transform(const Attributes& node) {
  return named<PostTransform>("post_transform", node.text("post_transform", "NONE"),
                              {{"NONE", PostTransform::kNone},
                               {"SOFTMAX", PostTransform::kSoftmax},
                               {"LOGISTIC", PostTransform::kLogistic},
                               {"SOFTMAX_ZERO", PostTransform::kSoftmaxZero},
                               {"PROBIT", PostTransform::kProbit}});
}

constexpr int8_t kLeaf = -1;

// The modes by their numbers, kLeaf for a leaf.
std::vector<int8_t> read_modes(const Attributes& node) {
  const std::string name = "nodes_modes";
  const std::vector<std::string> texts = node.texts(name);
  std::vector<int8_t> modes(texts.size());
  for (size_t i = 0; i < texts.size(); ++i)
    modes[i] = named<int8_t>(name, texts[i],
                             {{"BRANCH_LEQ", 0},
                              {"LEAF", kLeaf},
                              {"BRANCH_LT", 1},
                              {"BRANCH_GTE", 2},
                              {"BRANCH_GT", 3},
                              {"BRANCH_EQ", 4},
                              {"BRANCH_NEQ", 5}});
  return modes;
}

// Numbers that a float operator has as floats, and a double one as floats or as a tensor of doubles.
template <typename T>
std::vector<T> read_numbers(const Attributes& node, const std::string& name) {
  std::vector<T> tensor = node.tensor<T>(name + "_as_tensor");
  const std::vector<float> floats = node.floats(name);
  if (!tensor.empty() && !floats.empty()) throw Refused(name + ": both as floats and as a tensor");
  return tensor.empty() ? std::vector<T>(floats.begin(), floats.end()) : tensor;
}

// The splits of the tables, and for each listed node its place there: a split, or ~leaf.
template <typename T>
std::vector<int32_t> read_splits(const Attributes& node, const Listed& listed, Tables<T>& tables) {
  const size_t n = listed.size();
  std::vector<int32_t> place(n);
  int32_t n_splits = 0, n_leaves = 0;
  {
    const std::vector<int8_t> modes = read_modes(node);
    same_length("nodes_modes", modes.size(), "nodes_nodeids", n);
    for (size_t i = 0; i < n; ++i) {
      place[i] = modes[i] == kLeaf ? ~n_leaves++ : n_splits++;
      if (modes[i] != kLeaf) tables.mode.push_back(static_cast<Mode>(modes[i]));
    }
  }
  tables.leaf_start.assign(static_cast<size_t>(n_leaves) + 1, 0);
  if (!n_leaves) throw Refused("nodes_modes: no leaf");

  const auto children = [&](const std::string& name) {
    const std::vector<int64_t> ids = node.integers(name);
    same_length(name, ids.size(), "nodes_nodeids", n);
    std::vector<int32_t> side(static_cast<size_t>(n_splits));
    for (size_t tree = 0; tree < listed.n_trees(); ++tree)
      for (int32_t i = listed.first(tree); i < listed.end(tree); ++i)
        if (place[i] >= 0) side[place[i]] = place[listed.node(tree, ids[i], name)];
    return side;
  };
  tables.yes = children("nodes_truenodeids");
  tables.no = children("nodes_falsenodeids");
  {
    const std::vector<T> values = read_numbers<T>(node, "nodes_values");
    same_length("nodes_values", values.size(), "nodes_nodeids", n);
    tables.split.resize(n_splits);
    for (size_t i = 0; i < n; ++i)
      if (place[i] >= 0) tables.split[place[i]] = values[i];
  }
  {
    const std::vector<int64_t> features = node.integers("nodes_featureids");
    same_length("nodes_featureids", features.size(), "nodes_nodeids", n);
    tables.feature.resize(n_splits);
    for (size_t i = 0; i < n; ++i) {
      if (features[i] < 0 || features[i] > std::numeric_limits<int32_t>::max())
        throw Refused("nodes_featureids: " + std::to_string(features[i]));
      if (place[i] >= 0) tables.feature[place[i]] = features[i];
    }
  }
  {
    const std::vector<int64_t> tracks = node.integers("nodes_missing_value_tracks_true");
    if (!tracks.empty()) same_length("nodes_missing_value_tracks_true", tracks.size(), "nodes_nodeids", n);
    tables.nan_true.assign(n_splits, 0);
    for (size_t i = 0; i < tracks.size(); ++i)
      if (place[i] >= 0) tables.nan_true[place[i]] = tracks[i] == 1;
  }
  for (size_t tree = 0; tree < listed.n_trees(); ++tree) tables.roots.push_back(place[listed.first(tree)]);
  return place;
}

// What the leaves add, each leaf's in the order of the list.
template <typename T>
void read_leaves(const Attributes& node, const std::string& prefix, const Listed& listed,
                 const std::vector<int32_t>& place, Tables<T>& tables) {
  const std::string ids_name = prefix + "ids", trees_name = prefix + "treeids", nodes_name = prefix + "nodeids";
  const std::vector<int64_t> ids = node.integers(ids_name);
  const size_t n = ids.size();
  if (n > kMaxNodes) throw Refused(ids_name + ": too many values: " + std::to_string(n));
  std::vector<int32_t> leaf(n);  // or -1: onnxruntime passes over what is said of a split
  {
    const std::vector<int64_t> trees = node.integers(trees_name), nodes = node.integers(nodes_name);
    same_length(trees_name, trees.size(), ids_name, n);
    same_length(nodes_name, nodes.size(), ids_name, n);
    size_t tree = 0;
    for (size_t i = 0; i < n; ++i) {
      if (i == 0 || trees[i] != trees[i - 1]) tree = listed.tree(trees[i], trees_name);
      const int32_t at = place[listed.node(tree, nodes[i], nodes_name)];
      leaf[i] = at < 0 ? ~at : -1;
    }
  }
  const std::vector<T> weights = read_numbers<T>(node, prefix + "weights");
  same_length(prefix + "weights", weights.size(), ids_name, n);

  const size_t n_leaves = tables.leaf_start.size() - 1;
  for (const int32_t i : leaf)
    if (i >= 0) ++tables.leaf_start[static_cast<size_t>(i) + 1];
  const bool one = tables.n_targets == 1;
  for (size_t i = 0; i < n_leaves; ++i) {
    // With one target onnxruntime takes the first of several values, and something else where there is none.
    if (one && !tables.leaf_start[i + 1]) throw Refused(nodes_name + ": a leaf has no value");
    if (one) tables.leaf_start[i + 1] = 1;
    tables.leaf_start[i + 1] += tables.leaf_start[i];
  }
  const size_t n_values = static_cast<size_t>(tables.leaf_start.back());
  tables.target.resize(n_values);
  tables.weight.resize(n_values);
  std::vector<int64_t> next(tables.leaf_start.begin(), tables.leaf_start.end() - 1);
  for (size_t i = 0; i < n; ++i) {
    if (ids[i] < 0 || ids[i] >= tables.n_targets)
      throw Refused(ids_name + ": " + std::to_string(ids[i]) + ", the model has " + std::to_string(tables.n_targets) +
                    (prefix == "class_" ? " classes" : " targets"));
    if (leaf[i] < 0 || next[leaf[i]] == tables.leaf_start[static_cast<size_t>(leaf[i]) + 1]) continue;
    const size_t at = static_cast<size_t>(next[leaf[i]]++);
    tables.target[at] = ids[i];
    tables.weight[at] = weights[i];
  }
}

}  // namespace

template <typename T>
Standard<T> read_standard(const Attributes& node, const std::string& leaf, int64_t n_targets) {
  Standard<T> out;
  if (n_targets < 1 || n_targets > std::numeric_limits<int32_t>::max())
    throw Refused("the number of targets or classes: " + std::to_string(n_targets));
  out.tables.n_targets = n_targets;
  out.tables.aggregate = read_aggregate(node);
  out.post_transform = read_transform(node);
  out.base = read_numbers<T>(node, "base_values");
  const Listed listed(node.integers("nodes_treeids"), node.integers("nodes_nodeids"));
  const std::vector<int32_t> place = read_splits(node, listed, out.tables);
  read_leaves(node, leaf, listed, place, out.tables);
  join_equal_tests(out.tables);
  return out;
}
template Standard<float> read_standard(const Attributes&, const std::string&, int64_t);
template Standard<double> read_standard(const Attributes&, const std::string&, int64_t);

}  // namespace glulam
