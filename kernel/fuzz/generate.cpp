#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "model.h"

namespace glulam::fuzz {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const char* const kModeNames[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"};
const char* const kAggregates[] = {"AVERAGE", "SUM", "MIN", "MAX"};
const char* const kTransforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
constexpr int kMember = 6;

struct Weight {
  int64_t target;
  double value;
};

struct Node {
  bool leaf = true;
  int mode = 0;
  int64_t feature = 0;
  double split = 0;
  bool nan_true = false;
  std::vector<double> set;
  size_t yes = 0, no = 0;  // places in the tree, whose root is at 0
  std::vector<Weight> weights;
};

using Tree = std::vector<Node>;

// What all trees of one model have in common.
struct Style {
  bool wide;  // float64
  int64_t n_columns = 1;
  int64_t n_targets = 1;
  bool vector_leaves = false;
  std::vector<int> modes;
  int nan = 0;               // to false, to true, or as it comes
  std::vector<double> pool;  // of thresholds
  bool odd_numbers = false;
  bool positive = false;
};

double rounded(double value, bool wide) { return wide ? value : static_cast<double>(static_cast<float>(value)); }

double odd_number(Random& random) {
  static const std::vector<double> odd = {0.0,
                                          -0.0,
                                          1e-45,
                                          -1e-45,
                                          1e-38,
                                          -1e-38,
                                          3.4028234663852886e38,
                                          -3.4028234663852886e38,
                                          1e300,
                                          -1e300,
                                          5e-324,
                                          16777216.0,
                                          16777217.0,
                                          2147483648.0,
                                          9.2e18,
                                          1.0,
                                          -1.0,
                                          kInfinity,
                                          -kInfinity};
  return random.pick(odd);
}

Style style(Random& random, bool members, bool wide, int64_t n_columns) {
  Style s;
  s.wide = wide;
  s.n_columns = n_columns;
  s.n_targets = random.one_in(2) ? 1 : random.between(2, 10);
  s.vector_leaves = random.one_in(2);
  const int n_modes = members ? kMember + 1 : kMember;
  if (random.one_in(2)) {
    s.modes = {static_cast<int>(random.below(static_cast<size_t>(n_modes)))};
  } else {
    for (int i = 0; i < n_modes; ++i)
      if (random.one_in(2)) s.modes.push_back(i);
    if (s.modes.empty()) s.modes = {0};
  }
  s.nan = static_cast<int>(random.below(3));
  s.odd_numbers = random.one_in(5);
  s.positive = random.one_in(3);
  const size_t n_pool = 1 + random.below(60);
  for (size_t i = 0; i < n_pool; ++i) {
    double value = random.one_in(2) ? static_cast<double>(random.between(-8, 40)) : random.normal() * 3;
    if (s.odd_numbers && random.one_in(3)) value = odd_number(random);
    s.pool.push_back(rounded(value, s.wide));
  }
  return s;
}

void fill_leaf(Node& leaf, const Style& s, Random& random, bool many) {
  const auto weight = [&] {
    double value = random.one_in(3) ? static_cast<double>(random.between(-3, 3)) : random.normal();
    if (s.odd_numbers && random.one_in(20)) value = odd_number(random);
    return rounded(s.positive ? std::fabs(value) : value, s.wide);
  };
  leaf.leaf = true;
  if (many && s.n_targets > 1 && s.vector_leaves) {
    for (int64_t target = 0; target < s.n_targets; ++target)
      if (target == 0 || !random.one_in(8)) leaf.weights.push_back({target, weight()});
  } else {
    leaf.weights.push_back({random.between(0, s.n_targets - 1), weight()});
  }
}

void fill_split(Node& node, const Style& s, Random& random) {
  node.leaf = false;
  node.mode = random.pick(s.modes);
  node.feature = random.between(0, s.n_columns - 1);
  node.split = random.pick(s.pool);
  if (s.odd_numbers && random.one_in(100)) node.split = kNaN;
  node.nan_true = s.nan == 2 ? random.one_in(2) : s.nan == 1;
  if (node.mode != kMember) return;
  const int64_t size = random.one_in(10) ? random.between(30, 200) : random.between(1, 6);
  for (int64_t i = 0; i < size; ++i) {
    double value = static_cast<double>(random.between(0, random.one_in(4) ? 500 : 40));
    if (random.one_in(10)) value = rounded(random.normal(), s.wide);
    if (random.one_in(10)) value = -value;
    node.set.push_back(value);
  }
}

// Grown by turning a leaf into a split, again and again: any shape from a chain to a bush.
Tree grow(const Style& s, size_t n_splits, bool chain, bool many, Random& random) {
  Tree tree(1);
  std::vector<size_t> open = {0};
  for (size_t i = 0; i < n_splits; ++i) {
    const size_t which = chain ? open.size() - 1 - random.below(2) % open.size() : random.below(open.size());
    const size_t at = open[which];
    open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
    fill_split(tree[at], s, random);
    tree[at].yes = tree.size();
    tree[at].no = tree.size() + 1;
    open.push_back(tree.size());
    open.push_back(tree.size() + 1);
    tree.resize(tree.size() + 2);
  }
  for (const size_t at : open) fill_leaf(tree[at], s, random, many);
  return tree;
}

std::vector<Tree> grow_all(const Style& s, bool many, size_t least_splits, Random& random) {
  std::vector<Tree> trees;
  if (random.one_in(400)) {
    trees.push_back(grow(s, 1000 + random.below(3000), true, many, random));
  } else if (random.one_in(60)) {
    const size_t n_trees = 1 + random.below(4);
    for (size_t i = 0; i < n_trees; ++i) trees.push_back(grow(s, 200 + random.below(1500), false, many, random));
  } else {
    const size_t n_trees = random.one_in(40) ? 60 + random.below(200) : 1 + random.below(14);
    const size_t most = 1 + random.below(24);
    for (size_t i = 0; i < n_trees; ++i)
      trees.push_back(grow(s, least_splits + random.below(most), random.one_in(3), many, random));
  }
  return trees;
}

Tensor numbers(const std::vector<double>& values, bool wide) {
  if (wide) return Tensor::of(Type::kDouble, values);
  return Tensor::of(Type::kFloat, std::vector<float>(values.begin(), values.end()));
}

template <typename Item, typename Read>
auto column(const std::vector<Item>& items, Read read) {
  std::vector<decltype(read(items.front()))> values;
  values.reserve(items.size());
  for (const Item& item : items) values.push_back(read(item));
  return values;
}

// Children and roots of version 5: a split's or a leaf's number, and which of the two.
struct Child {
  int64_t number;
  int64_t is_leaf;
};

void write_v5(Model& model, const std::vector<Tree>& trees, const Style& s, const std::string& prefix, Random& random) {
  std::vector<const Node*> splits;
  std::vector<Weight> leaves;
  std::vector<std::vector<Child>> places;
  std::vector<int64_t> roots;
  const bool shared = random.one_in(6);
  for (const Tree& tree : trees) {
    std::vector<Child> place;
    for (const Node& node : tree) {
      if (!node.leaf) {
        place.push_back({static_cast<int64_t>(splits.size()), 0});
        splits.push_back(&node);
      } else if (shared && !leaves.empty() && random.one_in(2)) {
        place.push_back({static_cast<int64_t>(random.below(leaves.size())), 1});
      } else {
        place.push_back({static_cast<int64_t>(leaves.size()), 1});
        leaves.push_back(node.weights.front());
      }
    }
    places.push_back(std::move(place));
  }
  std::vector<int64_t> yes, no, yes_leaf, no_leaf;
  for (size_t tree = 0; tree < trees.size(); ++tree) {
    for (const Node& node : trees[tree]) {
      if (node.leaf) continue;
      yes.push_back(places[tree][node.yes].number);
      no.push_back(places[tree][node.no].number);
      yes_leaf.push_back(places[tree][node.yes].is_leaf);
      no_leaf.push_back(places[tree][node.no].is_leaf);
    }
    roots.push_back(places[tree][0].number);
  }
  std::vector<double> sets;
  for (const Node* node : splits) {
    if (node->mode != kMember) continue;
    sets.insert(sets.end(), node->set.begin(), node->set.end());
    sets.push_back(kNaN);
  }
  if (!sets.empty() && random.one_in(2)) sets.pop_back();  // what ends the last set may be left out
  Attributes& to = model.attributes;
  to[prefix + "tree_roots"] = roots;
  to[prefix + "n_targets"] = s.n_targets;
  to[prefix + "nodes_featureids"] = column(splits, [](const Node* n) { return n->feature; });
  to[prefix + "nodes_modes"] =
      Tensor::of(Type::kUint8, column(splits, [](const Node* n) { return static_cast<uint8_t>(n->mode); }));
  to[prefix + "nodes_splits"] = numbers(column(splits, [](const Node* n) { return n->split; }), s.wide);
  to[prefix + "nodes_truenodeids"] = yes;
  to[prefix + "nodes_falsenodeids"] = no;
  to[prefix + "nodes_trueleafs"] = yes_leaf;
  to[prefix + "nodes_falseleafs"] = no_leaf;
  to[prefix + "leaf_targetids"] = column(leaves, [](const Weight& w) { return w.target; });
  to[prefix + "leaf_weights"] = numbers(column(leaves, [](const Weight& w) { return w.value; }), s.wide);
  if (s.nan != 0 || random.one_in(2))
    to[prefix + "nodes_missing_value_tracks_true"] =
        column(splits, [](const Node* n) { return static_cast<int64_t>(n->nan_true); });
  if (!sets.empty()) to[prefix + "membership_values"] = numbers(sets, s.wide);
  if (random.one_in(10)) to[prefix + "nodes_hitrates"] = numbers(std::vector<double>(splits.size(), 1.0), s.wide);
}

// A node of version 3, with its numbers.
struct Numbered {
  const Node* node;
  int64_t tree, id, yes, no;
};

struct Pointed {
  int64_t tree, id;
  Weight weight;
};

void write_v3(Model& model, const std::vector<Tree>& trees, const Style& s, bool classifier, Random& random) {
  std::vector<Numbered> nodes;
  std::vector<Pointed> weights;
  int64_t number = random.between(0, 2);
  for (const Tree& tree : trees) {
    for (size_t at = 0; at < tree.size(); ++at) {
      const Node& node = tree[at];
      const auto id = static_cast<int64_t>(at);
      nodes.push_back({&node, number, id, static_cast<int64_t>(node.yes), static_cast<int64_t>(node.no)});
      for (const Weight& weight : node.weights) weights.push_back({number, id, weight});
    }
    number += random.one_in(5) ? 3 : 1;
  }
  if (random.one_in(3)) random.shuffle(weights);
  Attributes& to = model.attributes;
  const std::string head = classifier ? "class_" : "target_";
  to["nodes_treeids"] = column(nodes, [](const Numbered& n) { return n.tree; });
  to["nodes_nodeids"] = column(nodes, [](const Numbered& n) { return n.id; });
  to["nodes_featureids"] = column(nodes, [](const Numbered& n) { return n.node->feature; });
  to["nodes_truenodeids"] = column(nodes, [](const Numbered& n) { return n.yes; });
  to["nodes_falsenodeids"] = column(nodes, [](const Numbered& n) { return n.no; });
  to["nodes_modes"] =
      column(nodes, [](const Numbered& n) { return std::string(n.node->leaf ? "LEAF" : kModeNames[n.node->mode]); });
  if (s.nan != 0 || random.one_in(2))
    to["nodes_missing_value_tracks_true"] =
        column(nodes, [](const Numbered& n) { return static_cast<int64_t>(n.node->nan_true); });
  to[head + "treeids"] = column(weights, [](const Pointed& w) { return w.tree; });
  to[head + "nodeids"] = column(weights, [](const Pointed& w) { return w.id; });
  to[head + "ids"] = column(weights, [](const Pointed& w) { return w.weight.target; });
  const std::vector<double> splits = column(nodes, [](const Numbered& n) { return n.node->split; });
  const std::vector<double> values = column(weights, [](const Pointed& w) { return w.weight.value; });
  if (s.wide) {
    to["nodes_values_as_tensor"] = numbers(splits, true);
    to[head + "weights_as_tensor"] = numbers(values, true);
  } else {
    to["nodes_values"] = std::vector<float>(splits.begin(), splits.end());
    to[head + "weights"] = std::vector<float>(values.begin(), values.end());
  }
}

void write_base(Model& model, const Style& s, size_t count, Random& random) {
  std::vector<double> base;
  for (size_t i = 0; i < count; ++i) base.push_back(rounded(random.normal(), s.wide));
  if (s.wide)
    model.attributes["base_values_as_tensor"] = numbers(base, true);
  else
    model.attributes["base_values"] = std::vector<float>(base.begin(), base.end());
}

void write_labels(Model& model, int64_t count, Random& random) {
  std::vector<int64_t> labels(static_cast<size_t>(count));
  std::iota(labels.begin(), labels.end(), random.between(-3, 3));
  random.shuffle(labels);
  model.attributes["classlabels_int64s"] = labels;
}

// Values that rows should be at.
void note(Model& model, const std::vector<Tree>& trees, const Style& s) {
  constexpr size_t kEnough = 200;
  std::vector<double>& known = model.thresholds;
  known.insert(known.end(), s.pool.begin(), s.pool.end());
  for (const Tree& tree : trees)
    for (const Node& node : tree)
      if (known.size() < kEnough) known.insert(known.end(), node.set.begin(), node.set.end());
}

}  // namespace

void add_forest(Model& model, const std::string& prefix, bool wide, int64_t n_columns, uint64_t seed, Random& random) {
  Random shape(seed);
  Style s = style(shape, true, wide, n_columns);
  s.n_targets = 1;
  std::vector<Tree> trees = grow_all(s, false, 1, shape);
  for (Tree& tree : trees)
    for (Node& node : tree)
      if (node.leaf) node.weights.front().value = rounded(random.normal(), wide);
  write_v5(model, trees, s, prefix, shape);
  note(model, trees, s);
}

Model generate(Random& random) {
  Model model;
  const size_t kind = random.below(5);
  const bool v5 = kind < 3, classifier = kind == 4;
  const bool wide = random.one_in(3);
  Style s = style(random, v5, wide, random.one_in(40) ? random.between(250, 700) : random.between(1, 12));
  if (classifier) s.n_targets = random.between(1, 6);
  const std::vector<Tree> trees = grow_all(s, !v5, v5 ? 1 : 0, random);
  const int64_t aggregate = random.one_in(2) ? 1 : random.between(0, 3);
  const int64_t transform = random.one_in(2) ? 0 : random.between(0, 4);
  if (v5) {
    model.op = "TreeEnsemble";
    write_v5(model, trees, s, "", random);
    if (aggregate != 1 || random.one_in(2)) model.attributes["aggregate_function"] = aggregate;
    if (transform != 0 || random.one_in(2)) model.attributes["post_transform"] = transform;
  } else {
    model.op = classifier ? "TreeEnsembleClassifier" : "TreeEnsembleRegressor";
    write_v3(model, trees, s, classifier, random);
    if (classifier) {
      write_labels(model, s.n_targets, random);
    } else {
      model.attributes["n_targets"] = s.n_targets;
      model.attributes["aggregate_function"] = std::string(kAggregates[aggregate]);
    }
    if (transform != 0 || random.one_in(2)) model.attributes["post_transform"] = std::string(kTransforms[transform]);
    if (random.one_in(2)) write_base(model, s, static_cast<size_t>(s.n_targets), random);
  }
  model.input = s.wide ? Type::kDouble : Type::kFloat;
  model.n_columns = s.n_columns;
  note(model, trees, s);
  return model;
}

}  // namespace glulam::fuzz
