// Unsigned integers in the order of floating-point numbers.
#pragma once

#include <cstdint>
#include <cstring>

namespace glulam {

template <typename To, typename From>
inline To same_bits(From value) {
  static_assert(sizeof(To) >= sizeof(From));
  To bits{};
  std::memcpy(&bits, &value, sizeof(From));
  return bits;
}

// Orders all numbers from -infinity (well above 0) to infinity (well below the largest integer); -0 is 0. A NaN has
// no place: the caller looks for it.
inline uint32_t key_of(float value) {
  const uint32_t bits = same_bits<uint32_t>(value + 0.0f);
  return bits ^ (static_cast<uint32_t>(static_cast<int32_t>(bits) >> 31) | 0x80000000u);
}

inline uint64_t key_of(double value) {
  const uint64_t bits = same_bits<uint64_t>(value + 0.0);
  return bits ^ (static_cast<uint64_t>(static_cast<int64_t>(bits) >> 63) | 0x8000000000000000u);
}

}  // namespace glulam
