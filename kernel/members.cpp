#include "members.h"

#include <cmath>

namespace glulam {

namespace {

constexpr int32_t kNone = -1;

// For each split the next of its chain, which nothing else leads to, or kNone.
template <typename T>
std::vector<int32_t> find_chains(const Tables<T>& t, bool& any) {
  const int32_t n = static_cast<int32_t>(t.mode.size());
  std::vector<int32_t> next(static_cast<size_t>(n), kNone);
  any = false;
  for (int32_t i = 0; i < n; ++i) {
    const int32_t j = t.no[i];
    if (j < 0 || j == i || t.mode[i] != Mode::kEq || t.mode[j] != Mode::kEq) continue;
    if (t.yes[i] != t.yes[j] || t.feature[i] != t.feature[j] || t.nan_true[i] != t.nan_true[j]) continue;
    next[i] = j;
    any = true;
  }
  if (!any) return next;
  std::vector<uint8_t> parents(static_cast<size_t>(n), 0);  // 0, 1 or more
  const auto count = [&](int32_t child) {
    if (child >= 0 && parents[child] < 2) ++parents[child];
  };
  for (const int32_t root : t.roots) count(root);
  for (int32_t i = 0; i < n; ++i) {
    count(t.yes[i]);
    count(t.no[i]);
  }
  for (int32_t& j : next)
    if (j != kNone && parents[j] != 1) j = kNone;
  return next;
}

template <typename T>
void keep(std::vector<T>& values, const std::vector<int32_t>& place) {
  if (values.empty()) return;
  size_t n = 0;
  for (size_t i = 0; i < place.size(); ++i)
    if (place[i] != kNone) values[n++] = values[i];
  values.resize(n);
}

}  // namespace

template <typename T>
void join_equal_tests(Tables<T>& t) {
  bool any = false;
  const std::vector<int32_t> next = find_chains(t, any);
  if (!any) return;
  const size_t n = next.size();
  std::vector<int32_t> place(n, 0);  // kNone for what another split takes in
  for (const int32_t j : next)
    if (j != kNone) place[j] = kNone;

  t.set_of.assign(n, -1);
  t.set_start.assign(1, 0);
  for (size_t i = 0; i < n; ++i) {
    if (next[i] == kNone || place[i] == kNone) continue;
    for (int32_t j = static_cast<int32_t>(i); j != kNone; j = next[j]) {
      if (!std::isnan(t.split[j])) t.set_value.push_back(t.split[j]);
      t.no[i] = t.no[j];
    }
    t.mode[i] = Mode::kMember;
    t.set_of[i] = static_cast<int32_t>(t.set_start.size()) - 1;
    t.set_start.push_back(static_cast<int64_t>(t.set_value.size()));
  }

  int32_t kept = 0;
  for (int32_t& at : place)
    if (at != kNone) at = kept++;
  // A ring of tests that nothing leads into is left out whole; nothing that is kept names what is not.
  keep(t.mode, place);
  keep(t.feature, place);
  keep(t.split, place);
  keep(t.nan_true, place);
  keep(t.yes, place);
  keep(t.no, place);
  keep(t.set_of, place);
  for (std::vector<int32_t>* children : {&t.yes, &t.no, &t.roots})
    for (int32_t& child : *children)
      if (child >= 0) child = place[child];
}
template void join_equal_tests(Tables<float>&);
template void join_equal_tests(Tables<double>&);

}  // namespace glulam
