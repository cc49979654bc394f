// What a node's attributes say, brought to tables. Nothing in them is trusted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ort_abi.h"
#include "tables.h"

namespace glulam {

// Fewer than this many nodes or leaves, so that all sums of counts fit.
constexpr size_t kMaxNodes = 1u << 30;

// Throws Refused unless the counts are the same.
void same_length(const std::string& name, size_t n, const std::string& other, size_t m);

// The attributes of one node. Each reader throws Refused where the attribute cannot be read.
class Attributes {
 public:
  Attributes(const Api& api, const OrtKernelInfo* info) : api_(api), info_(info) {}

  // The value, or `fallback` where the node has no such attribute.
  int64_t integer(const std::string& name, int64_t fallback) const;
  std::string text(const std::string& name, const std::string& fallback) const;

  // The values; empty where the node has no such attribute.
  std::vector<int64_t> integers(const std::string& name) const;
  std::vector<float> floats(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;
  template <typename T>
  std::vector<T> tensor(const std::string& name) const;  // of rank 1; T is uint8_t, int64_t, float or double

 private:
  // Whether an attribute was there; releases the status.
  bool read(OrtStatus* status, const std::string& name) const;

  const Api& api_;
  const OrtKernelInfo* info_;
};

// By the numbers that onnxruntime takes in a TreeEnsemble. The standard has 1 for softmax and 2 for logistic.
enum class PostTransform { kNone = 0, kLogistic = 1, kSoftmax = 2, kSoftmaxZero = 3, kProbit = 4 };

// The forest of a TreeEnsemble (ai.onnx.ml 5), its attributes' names preceded by `prefix`. T is the type of the
// node's tensors.
template <typename T>
Tables<T> read_tree_ensemble(const Attributes& node, const std::string& prefix = "");

// The post_transform of a TreeEnsemble.
PostTransform read_post_transform(const Attributes& node, const std::string& prefix = "");

// What the operators before version 5 have, TreeEnsembleRegressor and TreeEnsembleClassifier.
template <typename T>
struct Standard {
  Tables<T> tables;
  PostTransform post_transform = PostTransform::kNone;
  std::vector<T> base;  // empty where the node has none
};

// The forest of a TreeEnsembleRegressor or TreeEnsembleClassifier: the names of a leaf's attributes begin with
// `leaf`, "target_" or "class_". T is double where the rows are, else float.
template <typename T>
Standard<T> read_standard(const Attributes& node, const std::string& leaf, int64_t n_targets);

}  // namespace glulam
