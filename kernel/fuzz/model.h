// A model as a file holds it: a node's attributes, before anything is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "random.h"

namespace glulam::fuzz {

// onnxruntime's numbers of element types.
enum class Type : int { kFloat = 1, kUint8 = 2, kInt32 = 6, kInt64 = 7, kString = 8, kBool = 9, kDouble = 11 };

size_t size_of(Type type);

struct Tensor {
  Type type = Type::kFloat;
  std::vector<int64_t> shape;
  std::vector<unsigned char> bytes;  // no more than the values take: a sanitizer sees every access beyond them
  std::vector<std::string> strings;

  template <typename T>
  static Tensor of(Type type, const std::vector<T>& values) {
    Tensor tensor;
    tensor.type = type;
    tensor.shape = {static_cast<int64_t>(values.size())};
    tensor.bytes.resize(values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
    return tensor;
  }

  // The values as numbers of T, whatever they are stored as.
  template <typename T>
  std::vector<T> values() const;
};

using Attribute = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                               std::vector<std::string>, Tensor>;
using Attributes = std::map<std::string, Attribute>;

struct Model {
  std::string op;
  Type input = Type::kFloat;
  Attributes attributes;
  int64_t n_columns = 1;
  std::vector<double> thresholds;  // values that rows should be at, or next to
};

// A random model that the standard allows.
Model generate(Random& random);

// The same, as one node of the library's own domain: a plan of instructions, forests and constants.
Model generate_fused(Random& random);

// Adds a forest of one target to a fused node, its attributes' names preceded by `prefix`. The same `seed` gives the
// same trees; their leaves are drawn from `random`.
void add_forest(Model& model, const std::string& prefix, bool wide, int64_t n_columns, uint64_t seed, Random& random);

// Breaks a model, or changes what it says.
void mutate(Model& model, Random& random);

// A model's attributes as text, long lists cut.
std::string describe(const Model& model);

// Rows [n_rows, n_columns] of the model's input type: at thresholds, next to them, odd numbers, and NaN.
Tensor rows_for(const Model& model, int64_t n_rows, int64_t n_columns, Random& random);

}  // namespace glulam::fuzz
