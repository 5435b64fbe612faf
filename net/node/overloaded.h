// Overloaded: one lambda for each alternative of a variant, for std::visit.
#pragma once

namespace eddl::net {

template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace eddl::net
