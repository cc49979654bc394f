// What the walks share, whatever the processor.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "keys.h"
#include "packed.h"

// GLULAM_PORTABLE leaves out what is written for one kind of processor: for tests of the rest, and for sanitizers,
// which see no memory that assembly reads.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(GLULAM_PORTABLE)
#define GLULAM_X86
#endif

// Before a loop over lanes.
#ifdef __clang__
#define GLULAM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GLULAM_UNROLL _Pragma("GCC unroll 16")
#endif

namespace glulam {

// Memory of the calling thread, kept from call to call, for each use apart: `bytes` of it on a boundary of cache lines.
enum Scratch : size_t { kKeysScratch, kLeavesScratch, kHitsScratch, kNodesScratch, kScratches };
char* scratch_memory(Scratch use, size_t bytes);

template <typename T>
const Walk<T>& portable_walk();
template <typename T>
const Walk<T>& avx512_walk();

}  // namespace glulam
