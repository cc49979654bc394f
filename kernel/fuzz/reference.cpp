#include "reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

namespace glulam::fuzz {

namespace {

// Names in the order of version 5's numbers.
const std::vector<std::string> kModes = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                         "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};
const std::vector<std::string> kAggregates = {"AVERAGE", "SUM", "MIN", "MAX"};
const std::vector<std::string> kTransforms = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
constexpr int kMember = 6;
constexpr double kLibmDifference = 2e-6;

// An attribute of the wanted kind, or null where there is none; of another kind, the model is not one.
template <typename Kind>
const Kind* find(const Model& model, const std::string& name) {
  const auto found = model.attributes.find(name);
  if (found == model.attributes.end()) return nullptr;
  if (const Kind* kind = std::get_if<Kind>(&found->second)) return kind;
  throw Unspecified(name + " is of another kind");
}

std::vector<int64_t> wholes(const Model& model, const std::string& name) {
  const auto* found = find<std::vector<int64_t>>(model, name);
  return found ? *found : std::vector<int64_t>();
}

template <typename T>
std::vector<T> tensor(const Model& model, const std::string& name) {
  const Tensor* found = find<Tensor>(model, name);
  if (!found) return {};
  const bool right = found->type == (std::is_same_v<T, float> ? Type::kFloat : Type::kDouble);
  if (!right || found->shape.size() != 1) throw Unspecified(name + " is not of the rows' type, or no list");
  return found->values<T>();
}

// Version 3 has floats, or a tensor where the rows are float64.
template <typename T>
std::vector<T> numbers(const Model& model, const std::string& name) {
  const auto* floats = find<std::vector<float>>(model, name);
  const std::vector<T> wide = tensor<T>(model, name + "_as_tensor");
  if (!floats || floats->empty()) return wide;
  if (!wide.empty()) throw Unspecified(name + " is given twice");
  return std::vector<T>(floats->begin(), floats->end());
}

int named(const Model& model, const std::string& name, const std::vector<std::string>& names, int fallback) {
  const auto* text = find<std::string>(model, name);
  if (!text) return fallback;
  const auto found = std::find(names.begin(), names.end(), *text);
  if (found == names.end()) throw Unspecified(name + " is " + *text);
  return static_cast<int>(found - names.begin());
}

int numbered(const Model& model, const std::string& name, int64_t most, int fallback) {
  const auto* number = find<int64_t>(model, name);
  if (!number) return fallback;
  if (*number < 0 || *number > most) throw Unspecified(name + " is " + std::to_string(*number));
  return static_cast<int>(*number);
}

void need(bool holds, const char* what) {
  if (!holds) throw Unspecified(what);
}

template <typename T>
struct Node {
  bool leaf = false;
  int mode = 0;
  int64_t feature = 0;
  T split = 0;
  bool nan_true = false;
  std::vector<T> set;
  int64_t yes = -1, no = -1;
  std::vector<std::pair<int64_t, T>> weights;
};

template <typename T>
struct Trees {
  std::vector<Node<T>> nodes;
  std::vector<int64_t> roots;
  std::vector<T> base;
  int64_t n_targets = 0;
  int aggregate = 1, transform = 0;
};

template <typename T>
Trees<T> read_v5(const Model& model) {
  Trees<T> trees;
  const auto* modes = find<Tensor>(model, "nodes_modes");
  const std::vector<T> splits = tensor<T>(model, "nodes_splits"), leaves = tensor<T>(model, "leaf_weights");
  const auto features = wholes(model, "nodes_featureids"), targets = wholes(model, "leaf_targetids");
  const auto yes = wholes(model, "nodes_truenodeids"), no = wholes(model, "nodes_falsenodeids");
  const auto yes_leaf = wholes(model, "nodes_trueleafs"), no_leaf = wholes(model, "nodes_falseleafs");
  const auto tracks = wholes(model, "nodes_missing_value_tracks_true");
  const size_t n = splits.size();
  need(modes && modes->type == Type::kUint8 && modes->bytes.size() == n && modes->shape.size() == 1, "nodes_modes");
  need(features.size() == n && yes.size() == n && no.size() == n && yes_leaf.size() == n && no_leaf.size() == n,
       "lists of different lengths");
  need(targets.size() == leaves.size(), "leaf_targetids");
  need(tracks.empty() || tracks.size() == n, "nodes_missing_value_tracks_true");
  const bool members = modes && std::find(modes->bytes.begin(), modes->bytes.end(), kMember) != modes->bytes.end();
  const std::vector<T> sets = members ? tensor<T>(model, "membership_values") : std::vector<T>();
  size_t at = 0;
  const auto child = [&](int64_t number, int64_t is_leaf) {
    need(is_leaf == 0 || is_leaf == 1, "a leaf flag");
    need(number >= 0 && static_cast<size_t>(number) < (is_leaf ? leaves.size() : n), "a child's number");
    return is_leaf ? number + static_cast<int64_t>(n) : number;
  };
  for (size_t i = 0; i < n; ++i) {
    Node<T> node;
    node.mode = modes->bytes[i];
    need(node.mode <= kMember, "nodes_modes");
    node.feature = features[i];
    node.split = splits[i];
    node.nan_true = !tracks.empty() && tracks[i] == 1;
    node.yes = child(yes[i], yes_leaf[i]);
    node.no = child(no[i], no_leaf[i]);
    if (node.mode == kMember) {
      need(at < sets.size(), "membership_values");
      while (at < sets.size() && !std::isnan(sets[at])) node.set.push_back(sets[at++]);
      ++at;
    }
    trees.nodes.push_back(std::move(node));
  }
  for (size_t i = 0; i < leaves.size(); ++i) {
    Node<T> leaf;
    leaf.leaf = true;
    leaf.weights = {{targets[i], leaves[i]}};
    trees.nodes.push_back(std::move(leaf));
  }
  trees.roots = wholes(model, "tree_roots");
  const auto* n_targets = find<int64_t>(model, "n_targets");
  trees.n_targets = n_targets ? *n_targets : 0;
  trees.aggregate = numbered(model, "aggregate_function", 3, 1);
  // In the standard 1 is SOFTMAX and 2 LOGISTIC; onnxruntime has them the other way round, and is followed.
  const int numbers[] = {0, 2, 1, 3, 4};
  trees.transform = numbers[numbered(model, "post_transform", 4, 0)];
  for (const int64_t root : trees.roots) need(root >= 0 && static_cast<size_t>(root) < n, "tree_roots");
  return trees;
}

template <typename T>
Trees<T> read_v3(const Model& model, bool classifier) {
  Trees<T> trees;
  const std::string head = classifier ? "class_" : "target_";
  const auto tree_ids = wholes(model, "nodes_treeids"), ids = wholes(model, "nodes_nodeids");
  const auto features = wholes(model, "nodes_featureids");
  const auto yes = wholes(model, "nodes_truenodeids"), no = wholes(model, "nodes_falsenodeids");
  const auto tracks = wholes(model, "nodes_missing_value_tracks_true");
  const auto* modes = find<std::vector<std::string>>(model, "nodes_modes");
  const std::vector<T> splits = numbers<T>(model, "nodes_values");
  const size_t n = ids.size();
  need(modes && modes->size() == n && tree_ids.size() == n && features.size() == n && yes.size() == n &&
           no.size() == n && splits.size() == n,
       "lists of different lengths");
  need(tracks.empty() || tracks.size() == n, "nodes_missing_value_tracks_true");
  std::map<std::pair<int64_t, int64_t>, int64_t> places;
  for (size_t i = 0; i < n; ++i)
    need(places.emplace(std::pair(tree_ids[i], ids[i]), static_cast<int64_t>(i)).second, "a node given twice");
  const auto place = [&](int64_t tree, int64_t id) {
    const auto found = places.find({tree, id});
    need(found != places.end(), "a node that is not there");
    return found->second;
  };
  for (size_t i = 0; i < n; ++i) {
    Node<T> node;
    node.leaf = (*modes)[i] == "LEAF";
    if (!node.leaf) {
      const auto found = std::find(kModes.begin(), kModes.end(), (*modes)[i]);
      need(found != kModes.end(), "nodes_modes");
      node.mode = static_cast<int>(found - kModes.begin());
      node.feature = features[i];
      node.split = splits[i];
      node.nan_true = !tracks.empty() && tracks[i] == 1;
      node.yes = place(tree_ids[i], yes[i]);
      node.no = place(tree_ids[i], no[i]);
    }
    trees.nodes.push_back(std::move(node));
    // A tree's first node is its root.
    if (i == 0 || tree_ids[i] != tree_ids[i - 1]) trees.roots.push_back(static_cast<int64_t>(i));
  }
  const auto weight_trees = wholes(model, head + "treeids"), weight_ids = wholes(model, head + "nodeids");
  const auto targets = wholes(model, head + "ids");
  const std::vector<T> weights = numbers<T>(model, head + "weights");
  need(weight_trees.size() == weights.size() && weight_ids.size() == weights.size() && targets.size() == weights.size(),
       "lists of different lengths");
  for (size_t i = 0; i < weights.size(); ++i)
    trees.nodes[static_cast<size_t>(place(weight_trees[i], weight_ids[i]))].weights.emplace_back(targets[i],
                                                                                                 weights[i]);
  trees.base = numbers<T>(model, "base_values");
  trees.transform = named(model, "post_transform", kTransforms, 0);
  if (classifier) {
    const auto* texts = find<std::vector<std::string>>(model, "classlabels_strings");
    need(!texts || texts->empty(), "labels that are texts: the library does not serve them");
    trees.n_targets = static_cast<int64_t>(wholes(model, "classlabels_int64s").size());
    need(trees.base.empty() || static_cast<int64_t>(trees.base.size()) == trees.n_targets || trees.n_targets <= 2,
         "base_values");
  } else {
    const auto* n_targets = find<int64_t>(model, "n_targets");
    trees.n_targets = n_targets ? *n_targets : 0;
    trees.aggregate = named(model, "aggregate_function", kAggregates, 1);
    need(trees.base.empty() || static_cast<int64_t>(trees.base.size()) == trees.n_targets, "base_values");
  }
  return trees;
}

float logistic(float x) {
  const float y = 1 / (1 + std::exp(-std::fabs(x)));
  return x < 0 ? 1 - y : y;
}

// The inverse normal distribution function, by the approximation that onnxruntime uses.
float probit(float p) {
  const float x = 2 * p - 1, log = std::log((1 - x) * (1 + x));
  const float v = 2 / (3.14159265f * 0.147f) + 0.5f * log;
  return 1.41421356f * (x < 0 ? -1.0f : 1.0f) * std::sqrt(-v + std::sqrt(v * v - 1 / 0.147f * log));
}

template <typename T>
void transform(int which, std::vector<T>& scores) {
  if (which == 2)
    for (T& score : scores) score = logistic(static_cast<float>(score));
  if (which == 4)
    for (T& score : scores) score = probit(static_cast<float>(score));
  if (which != 1 && which != 3) return;
  float most = -std::numeric_limits<float>::max(), sum = 0;
  for (const T score : scores) most = static_cast<float>(score) > most ? static_cast<float>(score) : most;
  for (T& score : scores) {
    const auto x = static_cast<float>(score);
    if (which == 1 || x > 0.0000001f || x < -0.0000001f)
      sum += static_cast<float>(score = std::exp(x - most));
    else
      score *= std::exp(-most);
  }
  for (T& score : scores) score /= sum;
}

template <typename T>
class Walker : public Reference {
 public:
  Walker(Trees<T> trees, const Model& model) : t_(std::move(trees)), classifier_(model.op == "TreeEnsembleClassifier") {
    need(t_.n_targets > 0, "no targets");
    need(!t_.roots.empty(), "no trees");
    for (const Node<T>& node : t_.nodes)
      for (const auto& [target, weight] : node.weights) need(target >= 0 && target < t_.n_targets, "a target");
  }

  int64_t n_trees() const override { return static_cast<int64_t>(t_.roots.size()); }
  bool tells_scores() const override { return !classifier_ || t_.n_targets > 2; }

  Expected answer(const Tensor& rows, int64_t row, int64_t n_columns) const override {
    std::vector<T> x(static_cast<size_t>(n_columns));
    read_row(rows, row, x);
    const auto n = static_cast<size_t>(t_.n_targets);
    std::vector<T> scores(n, T(0));
    std::vector<char> hit(n, 0);
    for (const int64_t root : t_.roots) add(leaf_of(root, x), scores, hit);
    const T n_trees = static_cast<T>(t_.roots.size());
    for (size_t k = 0; k < n; ++k) {
      if (t_.aggregate == 0) scores[k] /= n_trees;
      // onnxruntime leaves a target of several that no leaf spoke for without its base value; a class gets it.
      if (t_.base.size() == n && (n == 1 || classifier_ || hit[k]))
        scores[k] = hit[k] || !classifier_ ? scores[k] + t_.base[k] : t_.base[k];  // which may be -0
      else if (!classifier_ && (t_.aggregate >= 2 || n == 1))
        scores[k] += T(0);
    }
    Expected expected;
    if (classifier_ && n > 2) expected.label = best(scores, hit);
    if (n > 1 ? t_.transform != 0 : t_.transform == 4) {
      transform(t_.transform, scores);
      expected.tolerance = kLibmDifference;
    }
    for (const T score : scores)
      expected.scores.push_back(float_answers_ ? static_cast<float>(score) : static_cast<double>(score));
    return expected;
  }

  // Answers of version 3 are float32, whatever the rows are.
  void answers_in_float() { float_answers_ = true; }

 private:
  static void read_row(const Tensor& rows, int64_t row, std::vector<T>& x) {
    const auto at = [&](size_t i) {
      return rows.bytes.data() + (static_cast<size_t>(row) * x.size() + i) * size_of(rows.type);
    };
    for (size_t i = 0; i < x.size(); ++i) {
      if (rows.type == Type::kInt64) {
        int64_t value;
        std::memcpy(&value, at(i), sizeof value);
        x[i] = static_cast<T>(value);
      } else if (rows.type == Type::kInt32) {
        int32_t value;
        std::memcpy(&value, at(i), sizeof value);
        x[i] = static_cast<T>(value);
      } else {
        std::memcpy(&x[i], at(i), sizeof(T));
      }
    }
  }

  static bool holds(const Node<T>& node, T x) {
    switch (node.mode) {
      case 0:
        return x <= node.split;
      case 1:
        return x < node.split;
      case 2:
        return x >= node.split;
      case 3:
        return x > node.split;
      case 4:
        return x == node.split;
      case 5:
        return x != node.split;
      default:
        return std::find(node.set.begin(), node.set.end(), x) != node.set.end();
    }
  }

  const Node<T>& leaf_of(int64_t at, const std::vector<T>& x) const {
    for (size_t steps = 0; steps <= t_.nodes.size(); ++steps) {
      const Node<T>& node = t_.nodes[static_cast<size_t>(at)];
      if (node.leaf) {
        need(!node.weights.empty() || t_.n_targets > 1, "a leaf without a weight");
        return node;
      }
      need(node.feature >= 0 && static_cast<size_t>(node.feature) < x.size(), "a column that the rows lack");
      const T value = x[static_cast<size_t>(node.feature)];
      at = holds(node, value) || (node.nan_true && std::isnan(value)) ? node.yes : node.no;
    }
    throw Unspecified("a way that does not end");
  }

  void add(const Node<T>& leaf, std::vector<T>& scores, std::vector<char>& hit) const {
    for (const auto& [target, weight] : leaf.weights) {
      T& score = scores[static_cast<size_t>(target)];
      char& before = hit[static_cast<size_t>(target)];
      if (t_.aggregate == 2)
        score = !before || weight < score ? weight : score;
      else if (t_.aggregate == 3)
        score = !before || weight > score ? weight : score;
      else
        score += weight;
      before = 1;
      if (t_.n_targets == 1) return;  // where onnxruntime takes the first of several weights
    }
  }

  int64_t best(const std::vector<T>& scores, const std::vector<char>& hit) const {
    int64_t found = -1;
    for (size_t k = 0; k < scores.size(); ++k) {
      if (!hit[k] && t_.base.empty()) continue;
      if (found < 0 || scores[k] > scores[static_cast<size_t>(found)]) found = static_cast<int64_t>(k);
    }
    return found;
  }

  const Trees<T> t_;
  const bool classifier_;
  bool float_answers_ = false;
};

template <typename T>
std::unique_ptr<Reference> walker(const Model& model) {
  if (model.op == "TreeEnsemble") return std::make_unique<Walker<T>>(read_v5<T>(model), model);
  auto made = std::make_unique<Walker<T>>(read_v3<T>(model, model.op == "TreeEnsembleClassifier"), model);
  made->answers_in_float();
  return made;
}

}  // namespace

std::unique_ptr<Reference> Reference::read(const Model& model) {
  return model.input == Type::kDouble ? walker<double>(model) : walker<float>(model);
}

}  // namespace glulam::fuzz
