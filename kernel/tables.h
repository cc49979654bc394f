// A tree ensemble as tables: what every operator's attributes are brought to before a forest is built.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace glulam {

// A model that this kernel does not take. The message names the attribute and what is wrong with it.
class Refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// With the numbers of ai.onnx.ml 5 TreeEnsemble.
enum class Mode : uint8_t { kLeq = 0, kLt = 1, kGte = 2, kGt = 3, kEq = 4, kNeq = 5, kMember = 6 };
enum class Aggregate : uint8_t { kAverage = 0, kSum = 1, kMin = 2, kMax = 3 };

// A child or a root is a split >= 0, or a leaf as ~leaf < 0. T is the type that values are compared and added in.
template <typename T>
struct Tables {
  // One entry a split. A row goes to `yes` where `row[feature] <mode> split` holds, or where the value is NaN
  // and nan_true is set; else to `no`.
  std::vector<Mode> mode;
  std::vector<int64_t> feature;
  std::vector<T> split;
  std::vector<uint8_t> nan_true;
  std::vector<int32_t> yes, no;

  std::vector<int32_t> roots;

  // Leaf i adds weight[k] to target[k] for k from leaf_start[i] to leaf_start[i + 1]; n_leaves + 1 entries.
  std::vector<int64_t> leaf_start;
  std::vector<int64_t> target;
  std::vector<T> weight;

  // Split i of mode kMember tests for set set_of[i] (else -1; empty where there are no sets). The values of set
  // s are set_value from set_start[s] to set_start[s + 1].
  std::vector<int32_t> set_of;
  std::vector<int64_t> set_start;
  std::vector<T> set_value;

  int64_t n_targets = 1;
  Aggregate aggregate = Aggregate::kSum;
};

// Throws Refused unless the tables are of fitting lengths, all ids are in range, and the splits make trees: each
// split is reached once at most, and none from itself. (Leaves may be shared.)
template <typename T>
void check(const Tables<T>& tables);

}  // namespace glulam
