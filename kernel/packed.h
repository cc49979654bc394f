// How a forest lies in memory. Everything here is read by the walk and written by the packer alone.
//
// A value is turned into a key once per row and column: an unsigned integer in the order of the values. A split then
// is one comparison of unsigned integers, `key(row) > split`, whatever its mode: 0 leads to the first of two
// neighbouring children, 1 to the second. A NaN is the smallest or the largest key, so that it goes where the split
// sends missing values; a feature whose splits disagree about that has two columns of keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "tables.h"

namespace glulam {

// So many walks are under way at once, one a lane: a walk waits for memory most of the time.
inline constexpr size_t kLanes = 16;
// The uppermost levels of a tree are a heap of their own, which vector instructions evaluate.
inline constexpr size_t kTopLevels = 4;
inline constexpr size_t kTopSplits = (size_t{1} << kTopLevels) - 1;
inline constexpr size_t kTopExits = size_t{1} << kTopLevels;

// A leaf is a node that leads to itself: its column is column 0, whose key is 0 for every row, its way on is 0, and
// so its own `key` is free to hold what the leaf says.
class Narrow {
 public:
  using Key = uint32_t;
  static constexpr size_t kColumns = 256;
  static constexpr int64_t kFarthest = (int64_t{1} << 22) - 1;

  Narrow() = default;
  Narrow(Key key, size_t column, int64_t way, bool set)
      : word_(static_cast<uint64_t>(way) << 41 | uint64_t{set} << 40 | uint64_t{key} << 8 | column) {}

  Key key() const { return static_cast<Key>(word_ >> 8); }
  size_t column() const { return static_cast<uint8_t>(word_); }
  // From this node to the first of its children.
  int64_t way() const { return static_cast<int64_t>(word_) >> 41; }
  bool set() const { return word_ >> 40 & 1; }

 private:
  // way (signed, 23 bits) | tests a set (1) | key (32) | column (8): no field takes more than one instruction to get,
  // a comparison reads the key in place.
  uint64_t word_;
};
static_assert(sizeof(Narrow) == 8);

// For what Narrow has no room for: float64, more columns, larger trees.
class Wide {
 public:
  using Key = uint64_t;
  static constexpr size_t kColumns = size_t{1} << 31;
  static constexpr int64_t kFarthest = std::numeric_limits<int32_t>::max();

  Wide() = default;
  Wide(Key key, size_t column, int64_t way, bool set)
      : key_(key), column_(static_cast<uint32_t>(column) | uint32_t{set} << 31), way_(static_cast<int32_t>(way)) {}

  Key key() const { return key_; }
  size_t column() const { return column_ & ~(1u << 31); }
  int64_t way() const { return way_; }
  bool set() const { return column_ >> 31; }

 private:
  Key key_;
  uint32_t column_;
  int32_t way_;
};
static_assert(sizeof(Wide) == 16);

// What a column of keys holds.
enum class Reading : uint8_t {
  kNanHigh,      // the value's key; NaN above all others
  kNanLow,       // the value's key; NaN below all others
  kCode,         // the value itself, if it is a whole number below `codes`; else `codes`, which is in no set
  kCodeNanTrue,  // the same, and for NaN `codes + 1`, which is in every set
};

struct Column {
  int64_t feature;
  uint32_t codes;
  Reading reading;
};

// How a float64 value is brought to a float32 key where all thresholds are float32 numbers: `x <= t` holds for x
// exactly if it holds for the next float32 at or above x, `x < t` for the one at or below.
enum class Rounding : uint8_t { kNone, kUp, kDown };

// The uppermost levels of one tree: splits in heap order (children of i are 2 i + 1 and 2 i + 2).
struct Top {
  uint32_t key[kTopExits];
  uint8_t column[kTopExits];
};

// The same for kLanes trees side by side, for one row that walks through all of them.
struct alignas(64) Tops {
  uint32_t key[kTopSplits][kLanes];
  // Nodes that the exits of each tree begin at, kTopExits of them.
  uint32_t exits[kLanes];
  uint8_t column[kTopSplits][kLanes];
};

struct Tree {
  uint32_t first;   // the node to begin at; or the first of kTopExits nodes that the top leads to
  uint32_t end;     // behind the tree's last node
  uint32_t levels;  // from there down to the deepest leaf
  uint32_t usual;   // after so many, most rows have come to a leaf; `levels` where looking does not pay
  int32_t target;   // that all leaves of the tree add to, for Leaves::kOne
  bool opens;       // no tree before it adds to the target
};

enum class Leaves : uint8_t {
  kOne,   // each leaf adds one number, and all leaves of a tree to the same target
  kAll,   // each leaf adds a number to each target
  kSome,  // anything else
};

// Memory on a boundary of cache lines.
template <typename V>
class Lines {
 public:
  Lines() = default;
  explicit Lines(size_t n) : size_(n) {
    if (n > std::numeric_limits<size_t>::max() / sizeof(V) - 64) throw std::bad_alloc();
    memory_ = static_cast<V*>(::operator new(n * sizeof(V) + 64, std::align_val_t(64)));
  }
  ~Lines() { ::operator delete(memory_, std::align_val_t(64)); }
  Lines(Lines&& other) noexcept : memory_(other.memory_), size_(other.size_) {
    other.memory_ = nullptr;
    other.size_ = 0;
  }
  Lines& operator=(Lines&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    return *this;
  }
  V& operator[](size_t i) { return memory_[i]; }
  const V* data() const { return memory_; }
  V* data() { return memory_; }
  size_t size() const { return size_; }

 private:
  V* memory_ = nullptr;
  size_t size_ = 0;
};

template <typename T>
struct Packed {
  bool narrow = true;
  bool has_top = false;
  bool has_sets = false;
  bool shallow = true;  // all trees have `usual` == `levels`
  Rounding rounding = Rounding::kNone;
  Aggregate aggregate = Aggregate::kSum;
  Leaves leaves = Leaves::kOne;
  // Whether a leaf's key is the number it adds (kOne), not an index into the tables below.
  bool inline_values = true;
  int64_t n_targets = 1;
  int64_t n_columns = 0;

  std::vector<Column> columns;  // but for column 0
  std::vector<Tree> trees;
  Lines<Narrow> narrow_nodes;
  Lines<Wide> wide_nodes;
  std::vector<Top> top;
  Lines<Tops> tops;
  std::vector<uint32_t> bits;  // sets, from the word that a node's key names

  std::vector<T> weight;            // kOne: of each leaf; kAll: n_targets of each leaf; kSome: with `target`
  std::vector<int64_t> leaf_start;  // kSome
  std::vector<int64_t> target;      // kSome
  std::vector<uint8_t> hits;        // kOne and kAll: whether any leaf adds to the target
};

// The walk, compiled once for each kind of processor.
template <typename T>
struct Walk {
  // scores and hits as in Forest::score.
  void (*score)(const Packed<T>&, const T* rows, int64_t n_rows, int64_t stride, T* scores, uint8_t* hits);
  // The leaf nodes that one row comes to in the trees from `begin` (a multiple of kLanes) to `end`.
  void (*descend)(const Packed<T>&, const T* row, size_t begin, size_t end, uint32_t* nodes);
  // Adds up such leaf nodes of all trees.
  void (*collect)(const Packed<T>&, const uint32_t* nodes, T* scores, uint8_t* hits);
};

template <typename T>
Packed<T> pack(const Tables<T>& tables);

template <typename T>
const Walk<T>& walk_for_this_processor();

}  // namespace glulam
