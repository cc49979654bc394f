#include <sstream>

#include "check.h"
#include "model.h"

namespace glulam::fuzz {

namespace {

constexpr size_t kShown = 40;

template <typename T>
void show(std::ostream& to, const std::vector<T>& values) {
  to << values.size() << " [";
  for (size_t i = 0; i < values.size() && i < kShown; ++i) to << (i ? " " : "") << values[i];
  to << (values.size() > kShown ? " ...]" : "]");
}

}  // namespace

std::string describe(const Model& model) {
  std::ostringstream to;
  to.precision(17);
  to << model.op << ", input type " << static_cast<int>(model.input) << ", " << model.n_columns << " columns\n";
  for (const auto& [name, attribute] : model.attributes) {
    to << "  " << name << ": ";
    if (const auto* tensor = std::get_if<Tensor>(&attribute)) {
      to << "tensor of type " << static_cast<int>(tensor->type) << ", rank " << tensor->shape.size() << ", ";
      show(to, tensor->values<double>());
    } else {
      std::visit(
          [&](const auto& value) {
            using Value = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, std::string>)
              to << '"' << value.substr(0, kShown) << '"';
            else if constexpr (std::is_arithmetic_v<Value>)
              to << value;
            else if constexpr (!std::is_same_v<Value, Tensor>)
              show(to, value);
          },
          attribute);
    }
    to << '\n';
  }
  return to.str();
}

}  // namespace glulam::fuzz
