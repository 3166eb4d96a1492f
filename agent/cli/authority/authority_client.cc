#include "agent/cli/authority/authority_client.h"

#include <fmt/format.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/support/channel_arguments.h>

#include "agent/cli/agent_connection.h"
#include "base/core/clock.h"

namespace credence {
namespace {

/// Most bytes of one answer: 500 entries with all that they may hold, many times over.
constexpr int kMaxAnswerBytes = 64 << 20;

Error NotConnected(const Error& error) {
  const char* fix = "";
  if (error.code() == Code::kUnavailable) {
    fix =
        "; start one with `credence up`, or name its socket with -socketPath or "
        "CREDENCE_AUTHORITY_SOCKET";
  } else if (error.code() == Code::kPermissionDenied) {
    fix =
        "; run this command as the user who runs the authority, or name another socket with "
        "-socketPath";
  }
  return Error(error.code(), error.message() + fix);
}

}  // namespace

Result<AuthorityClient> AuthorityClient::Connect(std::string socket_path,
                                                 std::chrono::milliseconds timeout) {
  auto connection = ConnectToAgent(socket_path, timeout, "authority");
  if (!connection.ok()) {
    return NotConnected(connection.error());
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  auto channel =
      grpc::CreateCustomInsecureChannelFromFd("authority", connection->release(), arguments);
  return AuthorityClient(std::move(socket_path), timeout, std::move(channel));
}

void AuthorityClient::Limit(grpc::ClientContext& context) const {
  context.set_deadline(SystemClock().Now() + timeout_);
}

Error AuthorityClient::Explain(const grpc::Status& status) const {
  const Code code = static_cast<Code>(status.error_code());
  // What the library says when our own patience ends.
  if (status.error_message() == "Deadline Exceeded") {
    return Error(Code::kDeadlineExceeded,
                 fmt::format("the authority on {} did not answer within {}; wait longer with "
                             "--timeout",
                             socket_path_,
                             FormatDuration(timeout_)));
  }
  if (code == Code::kUnimplemented) {
    return Error(code,
                 fmt::format("{} is no private socket of an authority or a spire-server: {}",
                             socket_path_,
                             status.error_message()));
  }
  if (code == Code::kUnavailable) {
    return Error(code,
                 fmt::format("the authority on {}: {}", socket_path_, status.error_message()));
  }
  return Error(
      code, status.error_message().empty() ? std::string(CodeName(code)) : status.error_message());
}

}  // namespace credence
