// Memory whose end is, but for its alignment, the end of a page that may be read, and which is taken away when it is
// freed: what is read or written beyond it ends the process, also where no sanitizer looks, in assembly and by gathers.
#pragma once

#include <cstddef>

namespace glulam::fuzz {

// While one lives, what its thread allocates is fenced.
class Fence {
 public:
  explicit Fence(bool on);
  ~Fence();
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;

 private:
  const bool before_;
};

// Fenced memory where it is asked for, else null. `alignment` is a power of two.
void* fenced(size_t bytes, size_t alignment);

// Takes fenced memory away; false for any other.
bool unfence(void* memory);

}  // namespace glulam::fuzz
