// What must hold for each model.
#pragma once

#include <cstdint>
#include <string>

namespace glulam::fuzz {

struct Counts {
  int64_t models = 0, accepted = 0, refused = 0, unserved = 0, failures_asked = 0;
  int64_t rows = 0;      // different ones that were answered
  int64_t compared = 0;  // of them, those held against the reference
};

// Makes model number `seed`, has the library answer for it, and adds to the counts. Returns what is wrong, or "".
std::string check_model(uint64_t seed, int64_t rows, Counts& counts);

// The same model in several threads at once: kernels made and destroyed, and one kernel that all of them call.
std::string check_threads(uint64_t seed, int64_t rows, Counts& counts);

// Model number `seed` as text.
std::string describe(uint64_t seed);

}  // namespace glulam::fuzz
