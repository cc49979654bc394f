#include "fence.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>

namespace glulam::fuzz {

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kPages = size_t{1} << 24;  // of addresses, each used once; then there are no more fences
constexpr size_t kMost = 1024;              // pages of one block

thread_local bool wanted = false;
std::atomic<size_t> taken{0};

void* reserve(size_t bytes, int protection) {
  void* const made = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return made == MAP_FAILED ? nullptr : made;
}

char* region() {
  static char* const made = static_cast<char*>(reserve(kPages * kPage, PROT_NONE));
  return made;
}

// The pages of the block that begins with a page.
uint16_t* sizes() {
  static auto* const made = static_cast<uint16_t*>(reserve(kPages * sizeof(uint16_t), PROT_READ | PROT_WRITE));
  return made;
}

}  // namespace

Fence::Fence(bool on) : before_(wanted) { wanted = on; }
Fence::~Fence() { wanted = before_; }

void* fenced(size_t bytes, size_t alignment) {
  const size_t pages = (bytes + kPage - 1) / kPage;
  if (!wanted || bytes == 0 || pages > kMost || alignment > kPage || !region() || !sizes()) return nullptr;
  const size_t first = taken.fetch_add(pages + 1);
  if (first + pages + 1 > kPages) {
    taken = kPages;
    return nullptr;
  }
  char* const begin = region() + first * kPage;
  if (mprotect(begin, pages * kPage, PROT_READ | PROT_WRITE) != 0) return nullptr;
  sizes()[first] = static_cast<uint16_t>(pages);
  return begin + (pages * kPage - bytes) / alignment * alignment;
}

bool unfence(void* memory) {
  char* const at = static_cast<char*>(memory);
  if (taken == 0 || at < region() || at >= region() + kPages * kPage) return false;
  const size_t first = static_cast<size_t>(at - region()) / kPage;
  char* const begin = region() + first * kPage;
  madvise(begin, sizes()[first] * kPage, MADV_DONTNEED);
  mprotect(begin, sizes()[first] * kPage, PROT_NONE);
  return true;
}

}  // namespace glulam::fuzz
