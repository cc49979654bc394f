// Random numbers that are the same on every platform: what <random> distributions are not.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace glulam::fuzz {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // Steele, Lea and Flood's SplitMix: any seed will do, so a model's number is one.
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // A whole number from 0 to count - 1; 0 where there is none.
  size_t below(size_t count) { return count == 0 ? 0 : static_cast<size_t>(next() % count); }

  // A whole number from low to high, both included.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<size_t>(high - low + 1)));
  }

  // True once in `times`.
  bool one_in(size_t times) { return below(times) == 0; }

  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  // About normal, from -6 to 6.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace glulam::fuzz
