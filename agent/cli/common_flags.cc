#include "agent/cli/common_flags.h"

#include <map>
#include <utility>

#include <CLI/CLI.hpp>

#include "agent/cli/find_socket.h"

namespace credence {

void AgentFlags::AddTo(CLI::App& command) {
  command.add_option("--socket",
                     socket,
                     std::string("Socket of the agent (default: CREDENCE_SOCKET, then "
                                 "SPIFFE_ENDPOINT_SOCKET, then that of "
                                 "`credence up`, then ") +
                         kDefaultSocket + ")");
  command.add_option("--timeout", timeout_seconds, "Seconds to wait for an answer, 1 to 600")
      ->check(CLI::Range(1, 600).description(""))
      ->capture_default_str();
}

Result<AgentClient> AgentFlags::Connect() const {
  auto path = FindSocket(socket);
  if (!path.ok()) {
    return std::move(path).error();
  }
  return AgentClient(*path, std::chrono::seconds(timeout_seconds));
}

void AddOutputFlag(CLI::App& command, OutputFormat& format, const std::string& description) {
  static const std::map<std::string, OutputFormat> kFormats{{"human", OutputFormat::kHuman},
                                                            {"json", OutputFormat::kJson}};
  command.add_option("--output", format, description)
      ->transform(CLI::CheckedTransformer(kFormats, CLI::ignore_case).description(""))
      ->option_text("human|json");
}

}  // namespace credence
