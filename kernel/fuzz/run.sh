#!/bin/sh
# Builds the kernel with sanitizers around it, and feeds it random and broken models.
#
#   run.sh              200,000 models, more than 10 million rows: AddressSanitizer and UndefinedBehaviorSanitizer
#   run.sh --quick      a few thousand models, after the build in about 15 seconds
#   run.sh --tsan       several threads at once: ThreadSanitizer
#   --models N --seed N --rows N    how many, which is the first, about how many rows each
#
# CXX is the compiler, clang++ or g++; clang++ where there is one, as it also knows calls through wrong pointers.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${FUZZ_BUILD:-$here/../../build/fuzz}
models=200000 seed=1 rows=130 mode=full
while [ $# -gt 0 ]; do
  case $1 in
    --quick) mode=quick models=4000 ;;
    --tsan) mode=tsan models=1500 ;;
    --models | --seed | --rows)
      [ $# -gt 1 ] || { echo "run.sh: $1: expected a number after it" >&2; exit 64; }
      eval "${1#--}=\$2"
      shift
      ;;
    *) echo "run.sh: unknown option $1; see the head of $0" >&2; exit 64 ;;
  esac
  shift
done
if [ -z "${CXX:-}" ]; then
  CXX=g++
  for name in clang++ clang++-14; do
    echo 'int main() {}' | $name -x c++ -fsanitize=address - -o /dev/null 2>/dev/null && { CXX=$name; break; }
  done
fi

# compile DIRECTORY SANITIZERS "SOURCES" FLAGS...: what changed; `objects` takes all of them
compile() {
  to=$build/$1 sanitizers=$2 sources=$3
  shift 3
  mkdir -p "$to"
  flags="-std=c++17 -O1 -g1 -Wall -Wextra -Werror -fno-omit-frame-pointer -ffp-contract=off -D_GLIBCXX_ASSERTIONS"
  echo "$CXX $flags $sanitizers $*" >"$to/flags.new"
  cmp -s "$to/flags.new" "$to/flags" || { rm -f "$to"/*.o; mv "$to/flags.new" "$to/flags"; }
  newest=$(ls -t "$here"/../*.h "$here"/../*.inc "$here"/*.h 2>/dev/null | head -n 1)
  objects=
  for source in $sources; do
    object=$to/$(basename "$source" .cpp).o
    objects="$objects $object"
    [ -e "$object" ] && [ "$object" -nt "$source" ] && [ "$object" -nt "$newest" ] && continue
    # shellcheck disable=SC2086
    $CXX $flags $sanitizers "$@" -c "$source" -o "$object"
  done
}

export ASAN_OPTIONS=abort_on_error=1:allocator_may_return_null=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=abort_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=abort_on_error=1:halt_on_error=1
asan="-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"

cd "$here"
all=$(ls ../*.cpp ./*.cpp)
if [ "$mode" = tsan ]; then
  compile tsan -fsanitize=thread "$all"
  # shellcheck disable=SC2086
  $CXX -fsanitize=thread $objects -lpthread -o "$build/tsan/fuzz"
  exec "$build/tsan/fuzz" --threads --seed "$seed" --models "$models" --rows "$rows"
fi
compile asan "$asan" "$all"
# shellcheck disable=SC2086
$CXX $asan $objects -lpthread -o "$build/asan/fuzz"
if [ "$mode" = quick ]; then
  exec "$build/asan/fuzz" --seed "$seed" --models "$models" --rows "$rows"
fi
# Once more without what is only for some processors: sanitizers see no reads in assembly and gathers.
walks=$(grep -l '"walk.h"' ../*.cpp)
compile portable "$asan" "$walks" -DGLULAM_PORTABLE
others=
for source in $all; do
  case " $(echo $walks) " in
    *" $source "*) ;;
    *) others="$others $build/asan/$(basename "$source" .cpp).o" ;;
  esac
done
# shellcheck disable=SC2086
$CXX $asan $objects $others -lpthread -o "$build/portable/fuzz"
# Most models as the newest runtime gives them, the others with what older ones have. Two at a time.
part=$((models / 10))
"$build/asan/fuzz" --seed "$seed" --models $((part * 5)) --rows "$rows" &
first=$!
failed=0
"$build/portable/fuzz" --seed $((seed + part * 5)) --models $((part * 3)) --rows "$rows" || failed=1
"$build/asan/fuzz" --seed $((seed + part * 8)) --models "$part" --rows "$rows" --runtime 24 || failed=1
"$build/portable/fuzz" --seed $((seed + part * 9)) --models $((models - part * 9)) --rows "$rows" --runtime 21 || failed=1
wait $first || failed=1
exit $failed
