// StatusText: a cluster's status and reasons, from the manager's JSON, as people read them. Pure.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace eddl::cluster {

// A table of nodes, and where the job stands. Members that are missing in the JSON are left blank: a manager of another
// version may say less.
std::string StatusText(const nlohmann::ordered_json& status);

// Why a node is parked, slow, gone or leading: what is measured of it, the plans that were compared, what happened to
// it.
std::string WhyText(const nlohmann::ordered_json& why);

}  // namespace eddl::cluster
