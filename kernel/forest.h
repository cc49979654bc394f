// A forest laid out for walking, and the walk.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>

#include "tables.h"

namespace glulam {

// Runs task(data, i) for all i below count, in any order, on any threads, and returns when all are done.
class Parallel {
 public:
  virtual void run(void (*task)(void* data, size_t index), size_t count, void* data) = 0;

 protected:
  ~Parallel() = default;
};

// Runs task(i) for all i below count. The first exception that a task throws is thrown on here, once all are done:
// the threads are the runtime's, and none may leave a task there.
template <typename Task>
void run_all(Parallel& parallel, size_t count, const Task& task) {
  struct Guarded {
    const Task& task;
    std::atomic<bool> failed;
    std::exception_ptr failure;
  } guarded{task, {false}, nullptr};
  const auto run = [](void* data, size_t index) {
    Guarded& guarded = *static_cast<Guarded*>(data);
    try {
      guarded.task(index);
    } catch (...) {
      if (!guarded.failed.exchange(true)) guarded.failure = std::current_exception();
    }
  };
  parallel.run(run, count, &guarded);
  if (guarded.failure) std::rethrow_exception(guarded.failure);
}

// Adds up what the trees say of rows. T is the type of the rows, of the thresholds and of the leaves.
//
// Leaves are added in T, tree after tree in the order of the roots, starting from zero: what onnxruntime's own
// kernel does on one thread. The same bits come out for a row alone, in any batch and on any number of threads.
template <typename T>
class Forest {
 public:
  // Checks the tables; throws Refused for what it does not take, std::bad_alloc where memory ends.
  explicit Forest(const Tables<T>& tables);
  ~Forest();
  Forest(Forest&&) noexcept;
  Forest& operator=(Forest&&) noexcept;

  int64_t n_targets() const;
  int64_t n_trees() const;
  // One more than the largest column that is read; rows must have at least so many.
  int64_t n_columns() const;
  // Whether each row gets a leaf for each target from at least one tree, whatever the row.
  bool hits_all_targets() const;

  // scores[row * n_targets + target]: the sum, smallest or largest of the leaves (kAverage: the sum, to be
  // divided by n_trees); 0 where no leaf hit the target. hits, unless null, takes whether one did.
  // rows is row-major, `stride` values from one row to the next. On the calling thread alone.
  void score(const T* rows, int64_t n_rows, int64_t stride, T* scores, uint8_t* hits = nullptr) const;

  // The same, shared out where that pays.
  void score(const T* rows, int64_t n_rows, int64_t stride, T* scores, uint8_t* hits, Parallel& parallel) const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

extern template class Forest<float>;
extern template class Forest<double>;

}  // namespace glulam
