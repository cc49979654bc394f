// Memory that ends, and calls that fail, when they are told to.
#pragma once

#include <cstddef>
#include <cstdint>

namespace glulam::fuzz {

// No answer in these tests needs more; a real runtime refuses as well what memory does not hold.
constexpr size_t kMostBytes = size_t{1} << 28;

// Lets the next `count` calls of the API and allocations on this thread pass, and makes the one after fail. A
// negative count: none fails.
void fail_after(int64_t count);

// Whether a failure that was asked for came; asks for none from now on.
bool failed();

// Whether this call is the one that was asked to fail.
bool fails_now();

// The harness's own calls and allocations do not count, and do not fail.
class Spared {
 public:
  Spared();
  ~Spared();
  Spared(const Spared&) = delete;
  Spared& operator=(const Spared&) = delete;

 private:
  const int64_t left_;
};

}  // namespace glulam::fuzz
