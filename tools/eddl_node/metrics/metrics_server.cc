#include "tools/eddl_node/metrics/metrics_server.h"

#include <httplib.h>

#include <chrono>
#include <thread>
#include <utility>

#include "runtime/base/status.h"

namespace eddl {
namespace {

constexpr size_t kThreads = 2;
constexpr size_t kBodyMax = 1024;
constexpr time_t kIoSeconds = 5;
constexpr int kStartLooks = 1000;
constexpr std::chrono::milliseconds kStartPause{2};

}  // namespace

class MetricsServer::Impl {
 public:
  explicit Impl(std::function<std::string()> page) : page_(std::move(page)) {}
  ~Impl() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Start(const std::string& host, int port) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_payload_max_length(kBodyMax);
    server_.set_read_timeout(kIoSeconds);
    server_.set_write_timeout(kIoSeconds);
    server_.set_keep_alive_timeout(1);
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(page_(), "text/plain; version=0.0.4; charset=utf-8");
    });
    port_ = port > 0 ? (server_.bind_to_port(host, port) ? port : 0) : server_.bind_to_any_port(host);
    if (port_ <= 0) {
      return Unavailable("metrics can't be served at " + host + ":" + std::to_string(port) +
                         ": is the port taken, or the address not this machine's? Port 0 takes any that is free");
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // The library can't be stopped before it runs.
    for (int i = 0; i < kStartLooks && !server_.is_running(); ++i) std::this_thread::sleep_for(kStartPause);
    return absl::OkStatus();
  }
  int port() const { return port_; }

 private:
  const std::function<std::string()> page_;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetricsServer::~MetricsServer() = default;

int MetricsServer::port() const { return impl_->port(); }

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& host, int port,
                                                                    std::function<std::string()> page) {
  auto impl = std::make_unique<Impl>(std::move(page));
  EDDL_RETURN_IF_ERROR(impl->Start(host, port));
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(impl)));
}

}  // namespace eddl
