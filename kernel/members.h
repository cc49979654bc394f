// Sets that are spelled out as one test for each of their values.
#pragma once

#include "tables.h"

namespace glulam {

// Converters write "is one of" as tests for equality in a chain, each with the same node where it holds. That node
// has many parents then, and the nodes are no tree. Joined, each such chain is one member test.
template <typename T>
void join_equal_tests(Tables<T>& tables);

}  // namespace glulam
