#include "forest.h"

#include <algorithm>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "packed.h"
#include "walk.h"

#ifdef GLULAM_X86
#include <cpuid.h>
#endif

namespace glulam {

template <typename T>
void check(const Tables<T>& t) {
  const size_t n = t.mode.size();
  if (t.feature.size() != n || t.split.size() != n || t.nan_true.size() != n || t.yes.size() != n || t.no.size() != n)
    throw Refused("splits: tables of different lengths");
  if (t.roots.empty()) throw Refused("tree_roots: no tree");
  if (t.leaf_start.size() < 2) throw Refused("leaves: none");
  const size_t n_leaves = t.leaf_start.size() - 1;
  if (n >= static_cast<size_t>(std::numeric_limits<int32_t>::max()) ||
      n_leaves >= static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    throw Refused("too many nodes");
  if (t.leaf_start.front() != 0 || t.leaf_start.back() != static_cast<int64_t>(t.target.size()) ||
      t.target.size() != t.weight.size())
    throw Refused("leaves: tables of different lengths");
  for (size_t i = 0; i < n_leaves; ++i)
    if (t.leaf_start[i] > t.leaf_start[i + 1]) throw Refused("leaves: starts not in order");
  for (int64_t target : t.target)
    if (target < 0 || target >= t.n_targets)
      throw Refused("leaf target " + std::to_string(target) + " of " + std::to_string(t.n_targets));
  for (int64_t f : t.feature)
    if (f < 0 || f > std::numeric_limits<int32_t>::max()) throw Refused("feature id " + std::to_string(f));
  for (size_t i = 0; i < n; ++i) {
    if (t.mode[i] > Mode::kMember) throw Refused("unknown mode");
    if (t.mode[i] != Mode::kMember) continue;
    if (t.set_of.size() != n || t.set_of[i] < 0 || static_cast<size_t>(t.set_of[i]) + 1 >= t.set_start.size())
      throw Refused("a member test without its set");
  }
  for (size_t s = 0; s + 1 < t.set_start.size(); ++s)
    if (t.set_start[s] < 0 || t.set_start[s] > t.set_start[s + 1]) throw Refused("sets: starts not in order");
  if (!t.set_start.empty() && t.set_start.back() != static_cast<int64_t>(t.set_value.size()))
    throw Refused("sets: lengths");
  std::vector<uint8_t> reached(n, 0);
  auto visit = [&](int32_t id) {
    if (id < 0) {
      if (static_cast<size_t>(~id) >= n_leaves)
        throw Refused("leaf id " + std::to_string(~id) + " of " + std::to_string(n_leaves));
      return;
    }
    if (static_cast<size_t>(id) >= n) throw Refused("node id " + std::to_string(id) + " of " + std::to_string(n));
    if (reached[id]++) throw Refused("node " + std::to_string(id) + " is reached twice: not a tree");
  };
  for (int32_t root : t.roots) visit(root);
  for (size_t i = 0; i < n; ++i) {
    visit(t.yes[i]);
    visit(t.no[i]);
  }
  // Each split has one parent at most and roots none: what is not reached from a root may still be a cycle, but
  // nothing leads into it.
}
template void check(const Tables<float>&);
template void check(const Tables<double>&);

char* scratch_memory(Scratch use, size_t bytes) {
  static thread_local Lines<char> memory[kScratches];
  if (memory[use].size() < bytes) memory[use] = Lines<char>(bytes + bytes / 2);
  return memory[use].data();
}

#ifdef GLULAM_X86
// What walk_avx512.cpp is compiled for. (Compilers know a function for this as well, but with some it brings their own
// exp and log along, whose last digits differ from the system's.)
static bool has_avx512() {
  unsigned eax, ebx, ecx, edx, low, high;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx >> 27 & 1)) return false;  // xgetbv is there
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kKept = 0xe6;  // the system keeps vector registers of 512 bits, and masks
  if ((low & kKept) != kKept || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
  constexpr unsigned kWanted =
      1u << 3 | 1u << 8 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // bmi, bmi2, f, dq, bw, vl
  return (ebx & kWanted) == kWanted;
}
#endif

template <typename T>
const Walk<T>& walk_for_this_processor() {
#ifdef GLULAM_X86
  static const bool avx512 = has_avx512();
  if (avx512) return avx512_walk<T>();
#endif
  return portable_walk<T>();
}

template <typename T>
struct Forest<T>::Body {
  Packed<T> packed;
  const Walk<T>* walk;
  int64_t steps;  // that a row takes, about
};

template <typename T>
Forest<T>::Forest(const Tables<T>& tables) {
  check(tables);
  body_ = std::make_unique<Body>(Body{pack(tables), &walk_for_this_processor<T>(), 0});
  for (const Tree& tree : body_->packed.trees) body_->steps += tree.usual + 1;
}

template <typename T>
Forest<T>::~Forest() = default;
template <typename T>
Forest<T>::Forest(Forest&&) noexcept = default;
template <typename T>
Forest<T>& Forest<T>::operator=(Forest&&) noexcept = default;

template <typename T>
int64_t Forest<T>::n_targets() const {
  return body_->packed.n_targets;
}

template <typename T>
int64_t Forest<T>::n_trees() const {
  return static_cast<int64_t>(body_->packed.trees.size());
}

template <typename T>
int64_t Forest<T>::n_columns() const {
  return body_->packed.n_columns;
}

template <typename T>
bool Forest<T>::hits_all_targets() const {
  const Packed<T>& packed = body_->packed;
  return packed.leaves != Leaves::kSome &&
         std::all_of(packed.hits.begin(), packed.hits.end(), [](uint8_t h) { return h != 0; });
}

namespace {

// Where `hits` are to be kept for the walk: it asks for them only where leaves differ in what they add to.
template <typename T>
uint8_t* kept_hits(const Packed<T>& packed, int64_t n_rows, uint8_t* hits) {
  if (packed.leaves != Leaves::kSome) return nullptr;
  const size_t n = static_cast<size_t>(n_rows * packed.n_targets);
  if (!hits) {
    if (packed.aggregate <= Aggregate::kSum) return nullptr;
    hits = reinterpret_cast<uint8_t*>(scratch_memory(kHitsScratch, n));
  }
  std::fill_n(hits, n, uint8_t(0));
  return hits;
}

// Elsewhere they are the same for every row.
template <typename T>
void fill_hits(const Packed<T>& packed, int64_t n_rows, uint8_t* hits) {
  if (!hits || packed.leaves == Leaves::kSome) return;
  for (int64_t row = 0; row < n_rows; ++row)
    std::copy(packed.hits.begin(), packed.hits.end(), hits + row * packed.n_targets);
}

// A task is worth handing to another thread from about so many steps on: ten microseconds.
constexpr int64_t kStepsWorthATask = 20'000;
// Rows of a task: a few for each thread that there may be, but enough for a tree that is in the cache to pay.
constexpr int64_t kFewestRowsOfATask = 64, kMostRowsOfATask = 256;

}  // namespace

template <typename T>
void Forest<T>::score(const T* rows, int64_t n_rows, int64_t stride, T* scores, uint8_t* hits) const {
  const Packed<T>& packed = body_->packed;
  std::fill_n(scores, n_rows * packed.n_targets, T(0));
  body_->walk->score(packed, rows, n_rows, stride, scores, kept_hits(packed, n_rows, hits));
  fill_hits(packed, n_rows, hits);
}

template <typename T>
void Forest<T>::score(const T* rows, int64_t n_rows, int64_t stride, T* scores, uint8_t* hits,
                      Parallel& parallel) const {
  if (n_rows <= (2 * kStepsWorthATask - 1) / body_->steps) return score(rows, n_rows, stride, scores, hits);
  if (n_rows >= static_cast<int64_t>(kLanes)) {
    // Blocks of rows, each through all trees.
    const int64_t lanes = static_cast<int64_t>(kLanes), width = n_targets();
    const int64_t worth = kStepsWorthATask / std::max<int64_t>(1, body_->steps) / lanes * lanes;
    const int64_t share = std::clamp(n_rows / 8 / lanes * lanes, kFewestRowsOfATask, kMostRowsOfATask);
    const int64_t rows_of_a_task = std::max(share, worth);
    run_all(parallel, static_cast<size_t>((n_rows + rows_of_a_task - 1) / rows_of_a_task), [&](size_t index) {
      const int64_t begin = static_cast<int64_t>(index) * rows_of_a_task;
      score(rows + begin * stride, std::min(rows_of_a_task, n_rows - begin), stride, scores + begin * width,
            hits ? hits + begin * width : nullptr);
    });
    return;
  }
  // Few rows through a large forest: parts of its trees, added up in their order afterwards.
  const Packed<T>& packed = body_->packed;
  const Walk<T>& walk = *body_->walk;
  const size_t n_trees = packed.trees.size();
  uint32_t* nodes = reinterpret_cast<uint32_t*>(scratch_memory(kNodesScratch, n_trees * sizeof(uint32_t)));
  const size_t n_tasks = std::clamp<size_t>(static_cast<size_t>(body_->steps / kStepsWorthATask), 1, 64);
  const size_t trees_of_a_task = (n_trees / n_tasks + kLanes) / kLanes * kLanes;
  uint8_t* kept = kept_hits(packed, n_rows, hits);
  std::fill_n(scores, n_rows * packed.n_targets, T(0));
  for (int64_t row = 0; row < n_rows; ++row) {
    run_all(parallel, (n_trees + trees_of_a_task - 1) / trees_of_a_task, [&](size_t index) {
      const size_t begin = index * trees_of_a_task, end = std::min(begin + trees_of_a_task, n_trees);
      walk.descend(packed, rows + row * stride, begin, end, nodes + begin);
    });
    walk.collect(packed, nodes, scores + row * packed.n_targets, kept ? kept + row * packed.n_targets : nullptr);
  }
  fill_hits(packed, n_rows, hits);
}

template class Forest<float>;
template class Forest<double>;

}  // namespace glulam
