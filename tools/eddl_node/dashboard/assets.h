// Assets: files of the page that are part of this program. Made by the build from page/ and from Debian's Chart.js.
#pragma once

#include <span>
#include <string_view>

namespace eddl {

struct Asset {
  std::string_view name;  // "app.js"
  std::string_view text;
};

// Sorted by name.
std::span<const Asset> Assets();
// The text of a file that is there.
std::string_view AssetText(std::string_view name);
// Of a file name's ending: "text/javascript; charset=utf-8".
std::string_view ContentTypeOf(std::string_view name);

}  // namespace eddl
