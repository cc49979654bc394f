#include <algorithm>
#include <limits>

#include "model.h"

namespace glulam::fuzz {

namespace {

// Attributes that a model may lack.
const std::vector<std::string> kNames = {"aggregate_function",
                                         "base_values",
                                         "base_values_as_tensor",
                                         "class_weights_as_tensor",
                                         "classlabels_strings",
                                         "membership_values",
                                         "n_targets",
                                         "nodes_hitrates",
                                         "nodes_missing_value_tracks_true",
                                         "nodes_values_as_tensor",
                                         "post_transform",
                                         "target_weights_as_tensor",
                                         "tree_roots"};

int64_t odd_whole(Random& random, size_t size) {
  const auto n = static_cast<int64_t>(size);
  const std::vector<int64_t> odd = {0,
                                    1,
                                    -1,
                                    2,
                                    n,
                                    n - 1,
                                    n + 1,
                                    -n,
                                    255,
                                    256,
                                    65536,
                                    (1 << 24),
                                    2147483647,
                                    2147483648,
                                    -2147483649,
                                    4294967295,
                                    4294967296,
                                    4294967297,
                                    int64_t{1} << 40,
                                    int64_t{1} << 62,
                                    std::numeric_limits<int64_t>::min(),
                                    std::numeric_limits<int64_t>::max()};
  return random.one_in(2) ? random.between(-2, n + 2) : random.pick(odd);
}

template <typename T>
T odd_real(Random& random) {
  using Limits = std::numeric_limits<T>;
  const std::vector<T> odd = {T(0),
                              static_cast<T>(-T(0)),
                              Limits::quiet_NaN(),
                              Limits::infinity(),
                              -Limits::infinity(),
                              Limits::max(),
                              Limits::lowest(),
                              Limits::denorm_min(),
                              T(1),
                              T(2.5),
                              T(-1),
                              T(1e9)};
  return random.pick(odd);
}

std::string odd_text(Random& random) {
  const std::vector<std::string> odd = {"",
                                        "none",
                                        "NONE ",
                                        "SUM",
                                        "AVERAGE",
                                        "MIN",
                                        "LOGISTIC",
                                        "SOFTMAX",
                                        "PROBIT",
                                        "LEAF",
                                        "BRANCH",
                                        "BRANCH_LT",
                                        "BRANCH_MEMBER",
                                        "BRANCH_EQ",
                                        "%s%n",
                                        "\xff\xfe",
                                        std::string(3, '\0'),
                                        std::string(100000, 'x')};
  return random.pick(odd);
}

void alter(int64_t& value, Random& random, size_t size) { value = odd_whole(random, size); }
void alter(float& value, Random& random, size_t) { value = odd_real<float>(random); }
void alter(double& value, Random& random, size_t) { value = odd_real<double>(random); }
void alter(uint8_t& value, Random& random, size_t) {
  value = static_cast<uint8_t>(random.below(random.one_in(2) ? 9 : 256));
}
void alter(std::string& value, Random& random, size_t) { value = odd_text(random); }

template <typename T>
void alter_list(std::vector<T>& list, Random& random) {
  const size_t size = list.size();
  const auto at = [&] { return list.begin() + static_cast<std::ptrdiff_t>(random.below(list.size())); };
  const size_t what = size == 0 ? 6 : random.below(16);
  switch (what) {
    case 0:
      list.erase(at());
      break;
    case 1:
      list.resize(random.below(size));
      break;
    case 2:
      list.clear();
      break;
    case 3:
      list.insert(at(), T(*at()));
      break;
    case 4: {
      const std::vector<T> copy = list;
      list.insert(at(), copy.begin(), copy.end());
      break;
    }
    case 5:
      random.shuffle(list);
      break;
    case 6: {
      T value{};
      alter(value, random, size);
      list.resize(size + 1 + random.below(random.one_in(10) ? 5000 : 3), value);
      break;
    }
    case 7:
      *at() = list.back();
      break;
    case 8:
      std::swap(*at(), *at());
      break;
    case 9:
      std::reverse(list.begin(), list.end());
      break;
    case 10:
      std::fill(list.begin(), list.end(), T(*at()));
      break;
    default:
      for (size_t i = random.one_in(3) ? random.below(size) : 0; i != std::string::npos;
           i = i == 0 ? std::string::npos : i - 1)
        alter(*at(), random, size);
  }
  list.shrink_to_fit();
}

template <typename T>
void alter_values(Tensor& tensor, Random& random) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), values.size() * sizeof(T));
  alter_list(values, random);
  tensor = Tensor::of(tensor.type, values);
}

void alter_tensor(Tensor& tensor, Random& random) {
  if (random.one_in(12)) {  // the same bytes as something else
    const std::vector<Type> types = {Type::kFloat, Type::kUint8, Type::kInt32, Type::kInt64, Type::kDouble};
    tensor.type = random.pick(types);
    tensor.bytes.resize(tensor.bytes.size() / size_of(tensor.type) * size_of(tensor.type));
    tensor.bytes.shrink_to_fit();
    tensor.shape = {static_cast<int64_t>(tensor.bytes.size() / size_of(tensor.type))};
  } else if (random.one_in(20)) {
    tensor.shape.push_back(1);
  } else if (random.one_in(40)) {  // a scalar
    tensor.bytes.assign(size_of(tensor.type), 0);
    tensor.shape.clear();
  } else if (random.one_in(40)) {
    tensor = Tensor();
    tensor.type = Type::kString;
    tensor.shape = {2};
    tensor.strings = {"a", "b"};
  } else if (tensor.type == Type::kFloat) {
    alter_values<float>(tensor, random);
  } else if (tensor.type == Type::kDouble) {
    alter_values<double>(tensor, random);
  } else if (tensor.type == Type::kUint8) {
    alter_values<uint8_t>(tensor, random);
  } else if (tensor.type == Type::kInt64) {
    alter_values<int64_t>(tensor, random);
  }
}

void alter_attribute(Attribute& attribute, Random& random) {
  if (auto* whole = std::get_if<int64_t>(&attribute))
    alter(*whole, random, 4);
  else if (auto* real = std::get_if<float>(&attribute))
    alter(*real, random, 4);
  else if (auto* text = std::get_if<std::string>(&attribute))
    alter(*text, random, 4);
  else if (auto* wholes = std::get_if<std::vector<int64_t>>(&attribute))
    alter_list(*wholes, random);
  else if (auto* reals = std::get_if<std::vector<float>>(&attribute))
    alter_list(*reals, random);
  else if (auto* texts = std::get_if<std::vector<std::string>>(&attribute))
    alter_list(*texts, random);
  else
    alter_tensor(std::get<Tensor>(attribute), random);
}

Attribute any_attribute(Random& random) {
  switch (random.below(7)) {
    case 0:
      return odd_whole(random, 10);
    case 1:
      return odd_real<float>(random);
    case 2:
      return odd_text(random);
    case 3:
      return std::vector<int64_t>(random.below(5), odd_whole(random, 10));
    case 4:
      return std::vector<float>(random.below(5), odd_real<float>(random));
    case 5:
      return std::vector<std::string>(random.below(5), odd_text(random));
    default:
      return Tensor::of(random.one_in(2) ? Type::kDouble : Type::kInt64, std::vector<double>(random.below(5), 1.0));
  }
}

// The values of two lists of whole numbers that are as long change places: ids that all exist, but not here.
void cross(Attributes& attributes, Random& random) {
  std::vector<std::vector<int64_t>*> lists;
  for (auto& [name, attribute] : attributes)
    if (auto* list = std::get_if<std::vector<int64_t>>(&attribute); list && !list->empty()) lists.push_back(list);
  if (lists.size() < 2) return;
  std::vector<int64_t>&one = *random.pick(lists), &other = *random.pick(lists);
  const size_t at = random.below(std::min(one.size(), other.size()));
  std::swap(one[at], other[at]);
}

// A child becomes another node of the model: a cycle, a subtree of two parents, or a jump to another tree.
void redirect(Attributes& attributes, Random& random) {
  for (auto& [name, attribute] : attributes) {
    auto* list = std::get_if<std::vector<int64_t>>(&attribute);
    const bool pointers =
        name.find("truenodeids") != std::string::npos || name.find("falsenodeids") != std::string::npos;
    if (!list || list->empty() || !pointers || random.one_in(3)) continue;
    (*list)[random.below(list->size())] = static_cast<int64_t>(random.below(list->size()));
    return;
  }
}

}  // namespace

void mutate(Model& model, Random& random) {
  Attributes& attributes = model.attributes;
  const size_t times = random.one_in(3) ? 1 + random.below(5) : 1;
  for (size_t i = 0; i < times; ++i) {
    if (attributes.empty()) {
      attributes["n_targets"] = any_attribute(random);
      continue;
    }
    auto it = attributes.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random.below(attributes.size())));
    auto other = attributes.begin();
    std::advance(other, static_cast<std::ptrdiff_t>(random.below(attributes.size())));
    switch (random.below(16)) {
      case 0:
        attributes.erase(it);
        break;
      case 1:
        it->second = any_attribute(random);
        break;
      case 2:
        it->second = Attribute(other->second);
        break;
      case 6:
        attributes[random.pick(kNames)] = random.one_in(2) ? any_attribute(random) : Attribute(other->second);
        break;
      case 3:
        cross(attributes, random);
        break;
      case 4:
      case 5:
        redirect(attributes, random);
        break;
      default:
        alter_attribute(it->second, random);
    }
  }
}

}  // namespace glulam::fuzz
