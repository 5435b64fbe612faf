#include "tools/eddl_node/dashboard/dashboard.h"

#include <httplib.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/status.h"
#include "tools/eddl_node/dashboard/assets.h"
#include "tools/eddl_node/dashboard/request_guard.h"
#include "tools/eddl_node/dashboard/state_feed.h"

namespace eddl {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kBodyMax = 4096;
// Requests at the same time, beside viewers that are fed.
constexpr size_t kRequestThreads = 6;
constexpr time_t kIoSeconds = 10;
constexpr int kStartLooks = 1000;
constexpr std::chrono::milliseconds kStartPause{2};
constexpr char kJsonType[] = "application/json";
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

std::string MachineName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// One line without anything that is no UTF-8.
std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

int HttpStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

void Fail(httplib::Response& response, const absl::Status& status) {
  response.status = HttpStatusOf(status);
  response.set_content(Dump({{"error", MessageOf(status)}}), kJsonType);
}

void Answer(httplib::Response& response, const absl::StatusOr<Json>& json) {
  if (!json.ok()) return Fail(response, json.status());
  response.set_content(Dump(*json), kJsonType);
}

absl::StatusOr<uint32_t> NodeOf(const httplib::Request& request) {
  const std::string text = request.get_param_value("node");
  uint32_t node = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), node);
  if (error == std::errc() && end == text.data() + text.size() && !text.empty()) return node;
  return InvalidArgument("node=NUMBER is missing, or no number");
}

std::string TagOf(const Asset& asset) { return '"' + std::to_string(std::hash<std::string_view>{}(asset.text)) + '"'; }

}  // namespace

class Dashboard::Impl {
 public:
  Impl(const DashboardOptions& options, DashboardSource source)
      : options_(options), source_(std::move(source)), own_name_(MachineName()), feed_([this]() {
          const auto state = source_.state();
          return state.ok() ? std::optional<std::string>(Dump(*state)) : std::nullopt;
        }) {}
  ~Impl() {
    feed_.Stop();
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Start();
  int port() const { return port_; }

 private:
  void Configure();
  void AddPage();
  void AddQuestions();
  void AddActions();
  void AddAction(const char* path, std::function<absl::Status(const Json& body)> act);
  void Feed(httplib::Response& response);

  const DashboardOptions options_;
  const DashboardSource source_;
  const std::string own_name_;
  StateFeed feed_;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

void Dashboard::Impl::Configure() {
  server_.new_task_queue = [] { return new httplib::ThreadPool(kViewersMax + kRequestThreads); };
  server_.set_payload_max_length(kBodyMax);
  server_.set_read_timeout(kIoSeconds);
  server_.set_write_timeout(kIoSeconds);
  server_.set_tcp_nodelay(true);
  // Not SO_REUSEPORT, which the library would set: two dashboards on one port would share the visitors.
  server_.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  server_.set_default_headers({{"Content-Security-Policy", kPolicy},
                               {"X-Content-Type-Options", "nosniff"},
                               {"Referrer-Policy", "no-referrer"},
                               {"Cross-Origin-Resource-Policy", "same-origin"},
                               {"Cache-Control", "no-cache"}});
  server_.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (IsOwnHost(request.get_header_value("Host"), options_.host, own_name_)) {
      return httplib::Server::HandlerResponse::Unhandled;
    }
    Fail(response, MakeStatus(absl::StatusCode::kPermissionDenied,
                              "this dashboard is asked for by its address, not by another name"));
    return httplib::Server::HandlerResponse::Handled;
  });
}

void Dashboard::Impl::AddPage() {
  const auto serve = [](const Asset& asset) {
    return [asset, tag = TagOf(asset)](const httplib::Request& request, httplib::Response& response) {
      response.set_header("ETag", tag);
      if (request.get_header_value("If-None-Match") == tag) {
        response.status = 304;
        return;
      }
      response.set_content(asset.text.data(), asset.text.size(), std::string(ContentTypeOf(asset.name)));
    };
  };
  for (const Asset& asset : Assets()) {
    const std::string path = asset.name == "index.html" ? "/" : "/" + std::string(asset.name);
    server_.Get(path, serve(asset));
  }
}

void Dashboard::Impl::AddQuestions() {
  server_.Get("/api/state", [this](const auto&, httplib::Response& response) { Answer(response, source_.state()); });
  server_.Get("/api/history",
              [this](const auto&, httplib::Response& response) { Answer(response, source_.history()); });
  server_.Get("/api/why", [this](const httplib::Request& request, httplib::Response& response) {
    const auto node = NodeOf(request);
    if (!node.ok()) return Fail(response, node.status());
    Answer(response, source_.why(*node));
  });
  server_.Get("/api/device", [this](const httplib::Request& request, httplib::Response& response) {
    const auto node = NodeOf(request);
    if (!node.ok()) return Fail(response, node.status());
    const Json json = source_.device(*node);
    if (json.is_null()) return Fail(response, NotFound("there is no node " + std::to_string(*node)));
    Answer(response, json);
  });
  server_.Get("/metrics", [this](const auto&, httplib::Response& response) {
    response.set_content(source_.metrics(), "text/plain; version=0.0.4; charset=utf-8");
  });
  server_.Get("/events", [this](const auto&, httplib::Response& response) { Feed(response); });
}

void Dashboard::Impl::Feed(httplib::Response& response) {
  if (!feed_.Enter(kViewersMax)) {
    return Fail(response, Unavailable(std::to_string(kViewersMax) + " pages are open already: close one"));
  }
  auto seen = std::make_shared<uint64_t>(0);
  response.set_chunked_content_provider(
      "text/event-stream",
      [this, seen](size_t, httplib::DataSink& sink) {
        const auto state = feed_.Next(*seen);
        if (feed_.is_stopped()) return false;
        // A comment keeps the connection alive, and finds out whether somebody still listens.
        const std::string text = state == nullptr ? ": waiting\n\n" : "event: state\ndata: " + *state + "\n\n";
        return sink.write(text.data(), text.size());
      },
      [this](bool) { feed_.Leave(); });
}

void Dashboard::Impl::AddAction(const char* path, std::function<absl::Status(const Json& body)> act) {
  server_.Post(path, [this, act = std::move(act)](const httplib::Request& request, httplib::Response& response) {
    absl::Status status = MayAct({.remote_address = request.remote_addr,
                                  .authorization = request.get_header_value("Authorization"),
                                  .origin = request.get_header_value("Origin"),
                                  .host = request.get_header_value("Host")},
                                 options_.token);
    const Json body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
    if (status.ok() && !body.is_object()) status = InvalidArgument("the request's body is no JSON object");
    if (status.ok()) status = act(body);
    if (!status.ok()) return Fail(response, status);
    response.set_content("{}", kJsonType);
  });
}

void Dashboard::Impl::AddActions() {
  const auto node_of = [](const Json& body) -> absl::StatusOr<uint32_t> {
    const auto it = body.find("node");
    const bool good = it != body.end() && it->is_number_unsigned() && it->get<uint64_t>() <= UINT32_MAX;
    if (!good) return InvalidArgument("\"node\" is missing, or no number of a device");
    return it->get<uint32_t>();
  };
  AddAction("/api/pause", [this, node_of](const Json& body) -> absl::Status {
    EDDL_ASSIGN_OR_RETURN(const uint32_t node, node_of(body));
    const auto it = body.find("pause");
    if (it == body.end() || !it->is_boolean()) return InvalidArgument("\"pause\" is missing, or not true or false");
    return source_.pause(node, it->get<bool>());
  });
  AddAction("/api/drain", [this, node_of](const Json& body) -> absl::Status {
    EDDL_ASSIGN_OR_RETURN(const uint32_t node, node_of(body));
    return source_.drain(node);
  });
  AddAction("/api/stop", [this](const Json&) { return source_.stop(); });
}

absl::Status Dashboard::Impl::Start() {
  Configure();
  AddPage();
  AddQuestions();
  AddActions();
  if (options_.port > 0) {
    if (server_.bind_to_port(options_.host, options_.port)) port_ = options_.port;
  } else {
    port_ = server_.bind_to_any_port(options_.host);
  }
  if (port_ <= 0) {
    return Unavailable("the dashboard can't listen at " + options_.host + ":" + std::to_string(options_.port) +
                       ": is the port taken, or the address not this machine's? Port 0 takes any that is free");
  }
  thread_ = std::thread([this] { server_.listen_after_bind(); });
  // The library can't be stopped before it runs.
  for (int i = 0; i < kStartLooks && !server_.is_running(); ++i) std::this_thread::sleep_for(kStartPause);
  return absl::OkStatus();
}

Dashboard::Dashboard(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dashboard::~Dashboard() = default;

int Dashboard::port() const { return impl_->port(); }

absl::StatusOr<std::unique_ptr<Dashboard>> Dashboard::Start(const DashboardOptions& options, DashboardSource source) {
  auto impl = std::make_unique<Impl>(options, std::move(source));
  EDDL_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Dashboard>(new Dashboard(std::move(impl)));
}

}  // namespace eddl
