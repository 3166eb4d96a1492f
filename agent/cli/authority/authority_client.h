#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include "base/core/result.h"

namespace credence {

/// An operator's side of the SPIRE server API on a private Unix socket: that of our authority or of
/// a spire-server. Blocking calls on one connection, each bounded by the timeout.
class AuthorityClient {
 public:
  /// `socket_path` as found by FindAuthoritySocket. Errors: as ConnectToAgent, with what to do
  /// about it.
  static Result<AuthorityClient> Connect(std::string socket_path,
                                         std::chrono::milliseconds timeout);

  /// One call of a method of a generated stub, such as Entry::Stub::GetEntry. Errors: the code and
  /// message that the server answered; kDeadlineExceeded and kUnavailable of our own.
  template <class Stub, class Request, class Reply>
  Result<Reply> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                     const Request& request) const {
    grpc::ClientContext context;
    Limit(context);
    Stub stub(channel_);
    Reply reply;
    const grpc::Status status = (stub.*method)(&context, request, &reply);
    if (!status.ok()) {
      return Explain(status);
    }
    return reply;
  }

 private:
  AuthorityClient(std::string socket_path,
                  std::chrono::milliseconds timeout,
                  std::shared_ptr<grpc::Channel> channel)
      : socket_path_(std::move(socket_path)), timeout_(timeout), channel_(std::move(channel)) {}

  void Limit(grpc::ClientContext& context) const;
  Error Explain(const grpc::Status& status) const;

  std::string socket_path_;
  std::chrono::milliseconds timeout_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace credence
