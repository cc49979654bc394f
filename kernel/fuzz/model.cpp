#include "model.h"

#include <cmath>
#include <limits>

namespace glulam::fuzz {

size_t size_of(Type type) {
  switch (type) {
    case Type::kUint8:
    case Type::kBool:
      return 1;
    case Type::kFloat:
    case Type::kInt32:
      return 4;
    case Type::kInt64:
    case Type::kDouble:
      return 8;
    case Type::kString:
      break;
  }
  return sizeof(std::string);
}

namespace {

template <typename Stored, typename T>
void append(const Tensor& tensor, std::vector<T>& values) {
  for (size_t at = 0; at + sizeof(Stored) <= tensor.bytes.size(); at += sizeof(Stored)) {
    Stored value;
    std::memcpy(&value, tensor.bytes.data() + at, sizeof(Stored));
    values.push_back(static_cast<T>(value));
  }
}

// Into the type, as near as it goes: a float out of an integer's range has no value there.
template <typename T>
T near(double value) {
  if constexpr (std::numeric_limits<T>::is_integer) {
    if (!(std::fabs(value) < 2e9)) return static_cast<T>(value > 0 ? 2000000000 : -2000000000);
    return static_cast<T>(value);
  } else {
    return static_cast<T>(value);
  }
}

template <typename T>
T value_near(double threshold, Random& random) {
  constexpr bool whole = std::numeric_limits<T>::is_integer;
  const T at = near<T>(threshold);
  switch (random.below(8)) {
    case 0:
    case 1:
      return at;
    case 2:
      return whole ? near<T>(threshold - 1) : std::nextafter(at, -std::numeric_limits<T>::infinity());
    case 3:
      return whole ? near<T>(threshold + 1) : std::nextafter(at, std::numeric_limits<T>::infinity());
    case 4:
      return near<T>(static_cast<double>(random.between(-10, 50)));
    case 5:
      return near<T>(random.normal() * 4);
    case 6:
      return near<T>(threshold + random.normal());
    default:
      break;
  }
  if (!random.one_in(3)) return near<T>(random.normal());
  const T odd[] = {T(0),
                   std::numeric_limits<T>::min(),
                   std::numeric_limits<T>::max(),
                   std::numeric_limits<T>::lowest(),
                   std::numeric_limits<T>::infinity(),
                   static_cast<T>(-std::numeric_limits<T>::infinity()),
                   std::numeric_limits<T>::denorm_min(),
                   std::numeric_limits<T>::quiet_NaN(),
                   std::numeric_limits<T>::quiet_NaN(),
                   static_cast<T>(-T(0))};
  return odd[random.below(sizeof odd / sizeof odd[0])];
}

template <typename T>
std::vector<T> values_near(const std::vector<double>& thresholds, size_t count, Random& random) {
  std::vector<T> values(count);
  for (T& value : values) value = value_near<T>(thresholds.empty() ? 0.0 : random.pick(thresholds), random);
  return values;
}

}  // namespace

template <typename T>
std::vector<T> Tensor::values() const {
  std::vector<T> values;
  switch (type) {
    case Type::kFloat:
      append<float>(*this, values);
      break;
    case Type::kDouble:
      append<double>(*this, values);
      break;
    case Type::kInt32:
      append<int32_t>(*this, values);
      break;
    case Type::kInt64:
      append<int64_t>(*this, values);
      break;
    case Type::kUint8:
    case Type::kBool:
      append<uint8_t>(*this, values);
      break;
    case Type::kString:
      break;
  }
  return values;
}
template std::vector<float> Tensor::values() const;
template std::vector<double> Tensor::values() const;
template std::vector<int64_t> Tensor::values() const;

Tensor rows_for(const Model& model, int64_t n_rows, int64_t n_columns, Random& random) {
  const auto count = static_cast<size_t>(n_rows * n_columns);
  Tensor rows;
  if (model.input == Type::kDouble)
    rows = Tensor::of(model.input, values_near<double>(model.thresholds, count, random));
  else if (model.input == Type::kInt32)
    rows = Tensor::of(model.input, values_near<int32_t>(model.thresholds, count, random));
  else if (model.input == Type::kInt64)
    rows = Tensor::of(model.input, values_near<int64_t>(model.thresholds, count, random));
  else
    rows = Tensor::of(model.input, values_near<float>(model.thresholds, count, random));
  rows.shape = {n_rows, n_columns};
  return rows;
}

}  // namespace glulam::fuzz
