// Builds and walks forests made from a fixed seed, for counting instructions: walk <kind> <act>.
//
// kind: shallow, deep, classes, double. act: tables (makes the tables and nothing else), pack, single, batch.
// Each act does all that the one before it does, so that differences of counts are its own.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "../kernel/forest.h"

namespace {

constexpr int64_t kColumns = 12, kRows = 500;

// A generator of its own: those of the standard library differ between versions.
class Random {
 public:
  uint32_t below(uint32_t bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((state_ >> 33) % bound);
  }
  double unit() { return below(1u << 24) / static_cast<double>(1u << 24); }

 private:
  uint64_t state_ = 42;
};

// Splits a leaf chosen at random until there are enough: trees as leaf-wise growth makes them.
template <typename T>
glulam::Tables<T> make_tables(int trees, int leaves, int64_t targets, Random& random) {
  glulam::Tables<T> tables;
  tables.n_targets = targets;
  for (int tree = 0; tree < trees; ++tree) {
    struct Open {
      int32_t parent;
      bool yes;
    };
    std::vector<Open> open;
    const auto attach = [&tables](Open at, int32_t child) { (at.yes ? tables.yes : tables.no)[at.parent] = child; };
    for (int split = 0; split < leaves - 1; ++split) {
      const auto id = static_cast<int32_t>(tables.mode.size());
      tables.mode.push_back(glulam::Mode::kLeq);
      tables.feature.push_back(random.below(kColumns));
      tables.split.push_back(static_cast<T>(random.unit()));
      tables.nan_true.push_back(random.below(2));
      tables.yes.push_back(0);
      tables.no.push_back(0);
      if (open.empty()) {
        tables.roots.push_back(id);
      } else {
        const uint32_t chosen = random.below(static_cast<uint32_t>(open.size()));
        attach(open[chosen], id);
        open[chosen] = open.back();
        open.pop_back();
      }
      open.push_back({id, true});
      open.push_back({id, false});
    }
    for (const Open& at : open) {
      attach(at, ~static_cast<int32_t>(tables.leaf_start.size()));
      tables.leaf_start.push_back(static_cast<int64_t>(tables.weight.size()));
      tables.target.push_back(tree % targets);
      tables.weight.push_back(static_cast<T>(random.unit()));
    }
  }
  tables.leaf_start.push_back(static_cast<int64_t>(tables.weight.size()));
  return tables;
}

// The splits that all rows meet: what a walk cannot do without.
template <typename T>
int64_t levels(const glulam::Tables<T>& tables, const std::vector<T>& rows) {
  int64_t met = 0;
  for (int64_t row = 0; row < kRows; ++row) {
    for (int32_t node : tables.roots) {
      for (; node >= 0; ++met) {
        const T value = rows[row * kColumns + tables.feature[node]];
        node = value <= tables.split[node] ? tables.yes[node] : tables.no[node];
      }
    }
  }
  return met;
}

template <typename T>
int run(int trees, int leaves, int64_t targets, const char* act) {
  Random random;
  const glulam::Tables<T> tables = make_tables<T>(trees, leaves, targets, random);
  std::vector<T> rows(kRows * kColumns);
  for (T& value : rows) value = static_cast<T>(random.unit());
  std::vector<T> scores(kRows * targets);
  if (!std::strcmp(act, "levels")) {
    std::printf("%lld\n", static_cast<long long>(levels(tables, rows)));
    return 0;
  }
  if (!std::strcmp(act, "tables")) return 0;
  const glulam::Forest<T> forest(tables);
  if (!std::strcmp(act, "pack")) return 0;
  if (!std::strcmp(act, "single")) {
    for (int64_t row = 0; row < kRows; ++row) {
      forest.score(&rows[row * kColumns], 1, kColumns, &scores[row * targets]);
    }
    return 0;
  }
  if (std::strcmp(act, "batch")) return 2;
  forest.score(rows.data(), kRows, kColumns, scores.data());
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return 2;
  const char *kind = words[1], *act = words[2];
  if (!std::strcmp(kind, "shallow")) return run<float>(100, 31, 1, act);
  if (!std::strcmp(kind, "deep")) return run<float>(50, 500, 1, act);
  if (!std::strcmp(kind, "classes")) return run<float>(100, 31, 10, act);
  if (!std::strcmp(kind, "double")) return run<double>(100, 31, 1, act);
  return 2;
}
