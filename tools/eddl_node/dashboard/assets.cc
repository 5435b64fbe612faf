#include "tools/eddl_node/dashboard/assets.h"

#include "runtime/base/check.h"

namespace eddl {

std::string_view AssetText(std::string_view name) {
  for (const Asset& asset : Assets()) {
    if (asset.name == name) return asset.text;
  }
  EDDL_CHECK(false) << "no asset " << name;
  return {};
}

std::string_view ContentTypeOf(std::string_view name) {
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "text/html; charset=utf-8";
}

}  // namespace eddl
