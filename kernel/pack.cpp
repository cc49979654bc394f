// From tables to the layout that is walked.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "keys.h"
#include "packed.h"

namespace glulam {
namespace {

// A node while it is being laid out: a comparison of keys, or a test of a set.
template <typename Key>
struct Split {
  Key key;
  uint32_t column;
  int32_t low, high;  // a split >= 0, or ~leaf
  bool set;
};

template <typename T, typename Node>
class Packer {
 public:
  using Key = typename Node::Key;

  Packer(const Tables<T>& tables, Rounding rounding) : t_(tables) {
    out_.narrow = std::is_same_v<Node, Narrow>;
    out_.rounding = rounding;
  }

  // Returns false if the forest does not fit into nodes of this kind.
  bool pack(Packed<T>& into) {
    describe();
    describe_leaves();
    lower();
    if (out_.columns.size() >= Node::kColumns) return false;
    out_.has_top = out_.narrow && !out_.has_sets;
    if (!lay_out()) return false;
    into = std::move(out_);
    return true;
  }

 private:
  void describe() {
    out_.aggregate = t_.aggregate;
    out_.n_targets = t_.n_targets;
    for (int64_t feature : t_.feature) out_.n_columns = std::max(out_.n_columns, feature + 1);
  }

  // --- leaves

  void describe_leaves() {
    const size_t n_leaves = t_.leaf_start.size() - 1;
    bool one = true, all = true;
    for (size_t leaf = 0; leaf < n_leaves; ++leaf) {
      const int64_t begin = t_.leaf_start[leaf], count = t_.leaf_start[leaf + 1] - begin;
      one = one && count == 1;
      all = all && count == t_.n_targets;
      for (int64_t k = 0; all && k < count; ++k) all = t_.target[begin + k] == k;
    }
    one = one && (t_.n_targets == 1 || trees_have_one_target());
    out_.leaves = one ? Leaves::kOne : all ? Leaves::kAll : Leaves::kSome;
    out_.inline_values = one && sizeof(T) <= sizeof(Key);
    if (!out_.inline_values) out_.weight = t_.weight;
    if (out_.leaves == Leaves::kSome) {
      out_.leaf_start = t_.leaf_start;
      out_.target = t_.target;
    }
    out_.hits.assign(t_.n_targets, out_.leaves == Leaves::kAll);
  }

  bool trees_have_one_target() const {
    std::vector<int32_t> open;
    for (int32_t root : t_.roots) {
      int64_t target = -1;
      open.assign(1, root);
      while (!open.empty()) {
        const int32_t id = open.back();
        open.pop_back();
        if (id >= 0) {
          open.insert(open.end(), {t_.yes[id], t_.no[id]});
          continue;
        }
        const int64_t found = t_.target[t_.leaf_start[~id]];
        if (target >= 0 && found != target) return false;
        target = found;
      }
    }
    return true;
  }

  Node leaf_node(int32_t leaf) const {
    Key says = static_cast<Key>(leaf);
    if constexpr (sizeof(T) <= sizeof(Key))
      if (out_.inline_values) says = same_bits<Key>(t_.weight[t_.leaf_start[leaf]]);
    return Node(says, 0, 0, false);
  }

  // --- splits

  uint32_t column(int64_t feature, Reading reading) {
    const auto place = std::make_pair(feature, static_cast<int>(reading));
    const auto [found, added] = column_of_.try_emplace(
        static_cast<uint64_t>(place.first) << 2 | static_cast<uint64_t>(place.second), out_.columns.size() + 1);
    if (added) out_.columns.push_back({feature, codes_of(feature), reading});
    return static_cast<uint32_t>(found->second);
  }

  Key ordered(T threshold) const {
    if constexpr (std::is_same_v<Node, Narrow>)
      return key_of(static_cast<float>(threshold));
    else
      return key_of(static_cast<double>(threshold));
  }

  void lower() {
    const size_t n = t_.mode.size();
    measure_sets();
    splits_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      if (t_.mode[i] == Mode::kMember)
        lower_member(static_cast<int32_t>(i));
      else
        lower_comparison(i);
    }
  }

  void lower_comparison(size_t i) {
    const T threshold = t_.split[i];
    const bool nan_yes = t_.nan_true[i] != 0;
    const int64_t feature = t_.feature[i];
    const int32_t yes = t_.yes[i], no = t_.no[i];
    const Reading yes_low = nan_yes ? Reading::kNanLow : Reading::kNanHigh;
    const Reading yes_high = nan_yes ? Reading::kNanHigh : Reading::kNanLow;
    if (std::isnan(threshold)) {
      // Nothing compares with it but by !=, which always holds.
      if (t_.mode[i] == Mode::kNeq)
        splits_[i] = {kLargest, column(feature, Reading::kNanLow), yes, no, false};
      else
        splits_[i] = {0, column(feature, yes_low), yes, no, false};
      return;
    }
    const Key key = ordered(threshold), below = key - 1;
    switch (t_.mode[i]) {
      case Mode::kLeq:
        splits_[i] = {key, column(feature, yes_low), yes, no, false};
        break;
      case Mode::kLt:
        splits_[i] = {below, column(feature, yes_low), yes, no, false};
        break;
      case Mode::kGt:
        splits_[i] = {key, column(feature, yes_high), no, yes, false};
        break;
      case Mode::kGte:
        splits_[i] = {below, column(feature, yes_high), no, yes, false};
        break;
      case Mode::kEq:
        equal(i, feature, yes_low, key, yes, no);
        break;
      default:
        equal(i, feature, Reading::kNanHigh, key, no, yes);
        break;  // a NaN differs from everything
    }
  }

  // Two comparisons: not above the key, and not below it.
  void equal(size_t at, int64_t feature, Reading reading, Key key, int32_t same, int32_t other) {
    const Split<Key> second{key - 1, column(feature, Reading::kNanHigh), other, same, false};
    const int32_t next = append(second);  // may move the others
    splits_[at] = {key, column(feature, reading), next, other, false};
  }

  int32_t append(const Split<Key>& split) {
    if (splits_.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max())) throw Refused("too many nodes");
    splits_.push_back(split);
    return static_cast<int32_t>(splits_.size() - 1);
  }

  // --- sets

  // Sets of small whole numbers are kept as bits. All sets of a feature have as many, so that one code of a value
  // serves them all; where that would take too much, as for other values, a set is a search tree of comparisons.
  static constexpr uint32_t kMostCodes = 1u << 16;
  static constexpr size_t kFewWords = size_t{1} << 16;

  struct Codes {
    uint32_t count = 0;
    size_t n_splits = 0;
    size_t n_values = 0;
    bool bits = true;
  };

  void measure_sets() {
    for (size_t i = 0; i < t_.mode.size(); ++i) {
      if (t_.mode[i] != Mode::kMember) continue;
      Codes& codes = codes_[t_.feature[i]];
      ++codes.n_splits;
      const int32_t set = t_.set_of[i];
      for (int64_t k = t_.set_start[set]; k < t_.set_start[set + 1]; ++k) {
        const T value = t_.set_value[k];
        if (std::isnan(value)) continue;
        ++codes.n_values;
        if (value >= 0 && value < kMostCodes && value == std::floor(value))
          codes.count = std::max(codes.count, static_cast<uint32_t>(value) + 1);
        else
          codes.bits = false;
      }
    }
    // Not more than a few words for each value that the model itself spells out.
    for (auto& [feature, codes] : codes_)
      if (words_of(codes.count) * codes.n_splits > kFewWords + codes.n_values) codes.bits = false;
  }

  static size_t words_of(uint32_t codes) { return (size_t{codes} + 2 + 31) / 32; }

  uint32_t codes_of(int64_t feature) const {
    const auto found = codes_.find(feature);
    return found == codes_.end() ? 0 : found->second.count;
  }

  void lower_member(int32_t i) {
    const Codes& codes = codes_[t_.feature[i]];
    const int32_t set = t_.set_of[i];
    const T* begin = t_.set_value.data() + t_.set_start[set];
    const T* end = t_.set_value.data() + t_.set_start[set + 1];
    if (!codes.bits) {
      search_tree(i, begin, end);
      return;
    }
    out_.has_sets = true;
    const size_t word = out_.bits.size();
    out_.bits.resize(word + words_of(codes.count));
    const auto include = [&](uint32_t code) { out_.bits[word + code / 32] |= 1u << code % 32; };
    for (const T* value = begin; value != end; ++value)
      if (!std::isnan(*value)) include(static_cast<uint32_t>(*value));
    include(codes.count + 1);
    const Reading reading = t_.nan_true[i] ? Reading::kCodeNanTrue : Reading::kCode;
    splits_[i] = {static_cast<Key>(word), column(t_.feature[i], reading), t_.yes[i], t_.no[i], true};
  }

  void search_tree(int32_t at, const T* begin, const T* end) {
    std::vector<Key> keys;
    for (const T* value = begin; value != end; ++value)
      if (!std::isnan(*value)) keys.push_back(ordered(*value));
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    // Boundaries between what is outside and inside, in turn; a NaN is above them all, and so outside.
    std::vector<Key> bounds;
    for (Key key : keys) {
      if (!bounds.empty() && bounds.back() == key - 1)
        bounds.back() = key;
      else
        bounds.insert(bounds.end(), {key - 1, key});
    }
    const int32_t yes = t_.yes[at], no = t_.no[at];
    const uint32_t high = column(t_.feature[at], Reading::kNanHigh);
    const int32_t top = search(bounds, 0, bounds.size(), high, yes, no);
    if (t_.nan_true[at])
      splits_[at] = {0, column(t_.feature[at], Reading::kNanLow), yes, top, false};
    else
      splits_[at] = bounds.empty() ? Split<Key>{kLargest, high, no, no, false} : splits_[top];
  }

  // Returns the split that finds out between which of some bounds a key lies.
  int32_t search(const std::vector<Key>& bounds, size_t begin, size_t end, uint32_t column, int32_t yes, int32_t no) {
    if (begin == end) return begin % 2 ? yes : no;
    const size_t middle = begin + (end - begin) / 2;
    const int32_t low = search(bounds, begin, middle, column, yes, no);
    const int32_t high = search(bounds, middle + 1, end, column, yes, no);
    return append({bounds[middle], column, low, high, false});
  }

  // --- layout

  bool lay_out() {
    const size_t n_trees = t_.roots.size();
    measure_heights();
    nodes_.reserve(2 * splits_.size() + n_trees * (out_.has_top ? kTopExits : 1));
    children_.assign(splits_.size(), -1);
    out_.trees.reserve(n_trees);
    if (out_.has_top) {
      out_.top.resize(n_trees);
      out_.tops = Lines<Tops>((n_trees + kLanes - 1) / kLanes);
      std::memset(static_cast<void*>(out_.tops.data()), 0, out_.tops.size() * sizeof(Tops));
    }
    std::vector<uint8_t> seen(t_.n_targets, 0);
    for (size_t tree = 0; tree < n_trees; ++tree) {
      if (!lay_out_tree(tree)) return false;
      Tree& laid = out_.trees.back();
      if (out_.leaves != Leaves::kOne) continue;
      laid.target = static_cast<int32_t>(t_.target[some_leaf_]);
      laid.opens = !std::exchange(seen[laid.target], 1);
    }
    if (out_.leaves == Leaves::kOne) out_.hits.assign(seen.begin(), seen.end());
    for (const Tree& tree : out_.trees) out_.shallow = out_.shallow && tree.usual == tree.levels;
    Lines<Node>& kept = [this]() -> Lines<Node>& {
      if constexpr (std::is_same_v<Node, Narrow>)
        return out_.narrow_nodes;
      else
        return out_.wide_nodes;
    }();
    kept = Lines<Node>(nodes_.size());
    std::copy(nodes_.begin(), nodes_.end(), kept.data());
    return true;
  }

  bool lay_out_tree(size_t number) {
    // Exits fill two cache lines and begin on one.
    if (out_.has_top) nodes_.resize((nodes_.size() + 7) / 8 * 8, leaf_node(0));
    if (nodes_.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max()) - kTopExits)
      throw Refused("too many nodes");
    Tree tree{};
    tree.first = static_cast<uint32_t>(nodes_.size());
    pending_.clear();
    uint32_t levels = 0;
    if (out_.has_top) {
      levels = lay_out_top(number, tree.first);
    } else {
      levels = height(t_.roots[number]);
      put(t_.roots[number]);
    }
    // Level by level: what is walked together lies together.
    uint64_t depth_of_leaves = 0, n_leaves = 0;
    some_leaf_ = 0;
    size_t level_end = pending_.size();
    uint32_t level = 0;
    for (size_t next = 0; next < pending_.size(); ++next) {
      if (next == level_end) {
        ++level;
        level_end = pending_.size();
      }
      const auto [at, id] = pending_[next];
      if (id < 0) {
        depth_of_leaves += level;
        ++n_leaves;
        some_leaf_ = ~id;
        continue;
      }
      if (children_[id] < 0) {
        children_[id] = static_cast<int64_t>(nodes_.size());
        put(splits_[id].low);
        put(splits_[id].high);
        if (nodes_.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max())) throw Refused("too many nodes");
      }
      const int64_t way = children_[id] - static_cast<int64_t>(at);
      if (way > Node::kFarthest || way < -Node::kFarthest) return false;
      nodes_[at] = Node(splits_[id].key, splits_[id].column, way, splits_[id].set);
    }
    tree.end = static_cast<uint32_t>(nodes_.size());
    tree.levels = levels;
    const uint32_t mean = n_leaves ? static_cast<uint32_t>((depth_of_leaves + n_leaves - 1) / n_leaves) : 0;
    tree.usual = levels <= mean + 2 ? levels : mean;
    out_.trees.push_back(tree);
    return true;
  }

  // Appends the node of a split or leaf; a split's way on is filled in when its turn comes.
  void put(int32_t id) {
    pending_.emplace_back(nodes_.size(), id);
    nodes_.push_back(id < 0 ? leaf_node(~id) : Node());
  }

  // Fills the heap of the uppermost levels and puts its exits; returns the levels below them.
  uint32_t lay_out_top(size_t number, uint32_t first) {
    Top& top = out_.top[number];
    Tops& tops = out_.tops[number / kLanes];
    const size_t lane = number % kLanes;
    int32_t heap[kTopSplits + kTopExits];
    heap[0] = t_.roots[number];
    uint32_t levels = 0;
    for (size_t i = 0; i < kTopSplits; ++i) {
      const int32_t id = heap[i];
      // A leaf is handed down on the low side, where a key that none is above leads.
      const Split<Key> split = id < 0 ? Split<Key>{kLargest, 0, id, id, false} : splits_[id];
      heap[2 * i + 1] = split.low;
      heap[2 * i + 2] = split.high;
      top.key[i] = tops.key[i][lane] = static_cast<uint32_t>(split.key);
      top.column[i] = tops.column[i][lane] = static_cast<uint8_t>(split.column);
    }
    top.key[kTopSplits] = 0;
    top.column[kTopSplits] = 0;
    tops.exits[lane] = first;
    for (size_t i = 0; i < kTopExits; ++i) {
      const int32_t id = heap[kTopSplits + i];
      put(id);
      levels = std::max(levels, height(id));
    }
    return levels;
  }

  uint32_t height(int32_t id) const { return id < 0 ? 0 : heights_[id]; }

  // The longest way from each split to a leaf. Splits may have several parents by now, but no cycles.
  void measure_heights() {
    heights_.assign(splits_.size(), 0);
    std::vector<int32_t> open;
    for (int32_t root : t_.roots) {
      if (root >= 0) open.push_back(root);
      while (!open.empty()) {
        const int32_t id = open.back();
        bool ready = true;
        for (int32_t child : {splits_[id].low, splits_[id].high})
          if (child >= 0 && heights_[child] == 0) {
            open.push_back(child);
            ready = false;
          }
        if (!ready) continue;
        heights_[id] = 1 + std::max(height(splits_[id].low), height(splits_[id].high));
        open.pop_back();
      }
    }
  }

  static constexpr Key kLargest = std::numeric_limits<Key>::max();

  const Tables<T>& t_;
  Packed<T> out_;
  std::vector<Split<Key>> splits_;
  std::unordered_map<uint64_t, size_t> column_of_;
  std::unordered_map<int64_t, Codes> codes_;
  std::vector<uint32_t> heights_;
  std::vector<Node> nodes_;
  std::vector<int64_t> children_;  // of each split: its first child's node, or -1
  std::vector<std::pair<size_t, int32_t>> pending_;
  size_t some_leaf_ = 0;
};

// Whether float32 keys can tell apart what the thresholds tell apart, and how rows must be rounded for it.
template <typename T>
bool rounds(const Tables<T>& t, Rounding& rounding) {
  rounding = Rounding::kNone;
  if (std::is_same_v<T, float>) return true;
  bool up = false, down = false;
  for (size_t i = 0; i < t.mode.size(); ++i) {
    if (t.mode[i] >= Mode::kEq) return false;
    (t.mode[i] == Mode::kLeq || t.mode[i] == Mode::kGt ? up : down) = true;
    const double threshold = static_cast<double>(t.split[i]);
    if (!std::isnan(threshold) && std::isfinite(threshold) &&
        (std::fabs(threshold) > std::numeric_limits<float>::max() ||
         static_cast<double>(static_cast<float>(threshold)) != threshold))
      return false;
  }
  rounding = down ? Rounding::kDown : Rounding::kUp;
  return !(up && down);
}

}  // namespace

template <typename T>
Packed<T> pack(const Tables<T>& tables) {
  Packed<T> packed;
  Rounding rounding;
  if (rounds(tables, rounding) && Packer<T, Narrow>(tables, rounding).pack(packed)) return packed;
  if (!Packer<T, Wide>(tables, Rounding::kNone).pack(packed)) throw Refused("nodes_featureids: too many columns");
  return packed;
}

template Packed<float> pack(const Tables<float>&);
template Packed<double> pack(const Tables<double>&);

}  // namespace glulam
