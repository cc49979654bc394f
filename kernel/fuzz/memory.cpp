#include "memory.h"

#include <cstddef>
#include <cstdlib>
#include <new>

#include "fence.h"

namespace glulam::fuzz {

namespace {

thread_local int64_t failing = -1;
thread_local bool has_failed = false;

}  // namespace

void fail_after(int64_t count) {
  failing = count;
  has_failed = false;
}

bool failed() {
  failing = -1;
  return has_failed;
}

bool fails_now() {
  if (failing < 0 || failing-- > 0) return false;
  has_failed = true;
  return true;
}

Spared::Spared() : left_(failing) { failing = -1; }
Spared::~Spared() { failing = left_; }

}  // namespace glulam::fuzz

// ThreadSanitizer brings its own.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GLULAM_FUZZ_OWN_NEW 0
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define GLULAM_FUZZ_OWN_NEW 0
#endif

#ifndef GLULAM_FUZZ_OWN_NEW
namespace {

using namespace glulam::fuzz;

// Memory can end: at any allocation that is told to, and at what no machine of a user has.
void* allocate(size_t bytes, size_t alignment) {
  if (fails_now() || bytes > kMostBytes * 4) throw std::bad_alloc();
  if (void* const made = fenced(bytes, alignment)) return made;
  if (alignment <= alignof(std::max_align_t)) {
    if (void* const made = std::malloc(bytes)) return made;
  } else {
    void* made = nullptr;
    if (posix_memalign(&made, alignment, bytes) == 0) return made;
  }
  throw std::bad_alloc();
}

void release(void* given) noexcept {
  if (!unfence(given)) std::free(given);
}

}  // namespace

void* operator new(size_t bytes) { return allocate(bytes == 0 ? 1 : bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) { return allocate(bytes, static_cast<size_t>(alignment)); }
void operator delete(void* given) noexcept { release(given); }
void operator delete(void* given, size_t) noexcept { release(given); }
void operator delete(void* given, std::align_val_t) noexcept { release(given); }
void operator delete(void* given, size_t, std::align_val_t) noexcept { release(given); }
#endif
