#include "net/plan.h"

namespace eddl::net {

std::string ToString(Mode mode) {
  switch (mode) {
    case Mode::kSync:
      return "sync";
    case Mode::kPipe:
      return "pipe";
    case Mode::kAsync:
      return "async";
  }
  return "mode " + std::to_string(static_cast<int>(mode));
}

std::string ToString(Codec codec) {
  switch (codec) {
    case Codec::kF32:
      return "f32";
    case Codec::kF16:
      return "f16";
    case Codec::kExact:
      return "exact";
  }
  return "codec " + std::to_string(static_cast<int>(codec));
}

}  // namespace eddl::net
