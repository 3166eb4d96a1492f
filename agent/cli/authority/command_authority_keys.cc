#include "agent/cli/authority/command_authority_keys.h"

#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/authority/server_output.h"
#include "base/core/clock.h"
#include "base/rpc/foreign_text.h"

#include "credence/authority/v1/control.grpc.pb.h"

namespace credence {
namespace {

namespace json = boost::json;
using authority::v1::Control;
using authority::v1::GetStateResponse;
using authority::v1::KeyStatus;
using authority::v1::RotateKeyRequest;
using authority::v1::RotateKeyResponse;
using authority::v1::SigningKeyRecord;

/// The authority refuses while it changes keys of its own accord, which takes milliseconds.
constexpr int kAttempts = 10;
constexpr std::chrono::milliseconds kRetryWait{200};

struct StatusOptions {
  AuthorityFlags authority;
};

struct RotateOptions {
  AuthorityFlags authority;
  bool x509 = false;
  bool jwt = false;
  bool taint = false;
  bool now = false;
};

std::string_view KindText(SigningKeyRecord::Kind kind) {
  return kind == SigningKeyRecord::X509 ? "X509" : "JWT";
}

std::string_view StateText(SigningKeyRecord::State state) {
  switch (state) {
    case SigningKeyRecord::PREPARED:
      return "prepared";
    case SigningKeyRecord::ACTIVE:
      return "active";
    case SigningKeyRecord::OLD:
      return "old";
    default:
      return "unknown";
  }
}

std::string JsonTime(std::int64_t unix_seconds) {
  return unix_seconds == 0 ? "" : FormatRfc3339(FromUnixSeconds(unix_seconds));
}

json::object JsonOf(const KeyStatus& key) {
  return {{"kind", KindText(key.kind())},
          {"id", key.id()},
          {"state", StateText(key.state())},
          {"tainted", key.tainted()},
          {"created_at", JsonTime(key.created_at())},
          {"expires_at", JsonTime(key.not_after())},
          {"activates_at", JsonTime(key.activates_at())}};
}

/// What a spire-server says to a call that only our authority knows.
Error NotOurs(Error error) {
  if (error.code() != Code::kUnimplemented) {
    return error;
  }
  return Error(Code::kUnimplemented,
               "this is no socket of Credence's own authority; a spire-server has `spire-server "
               "localauthority` instead");
}

void PrintStateJson(const GetStateResponse& state) {
  json::array keys;
  for (const KeyStatus& key : state.keys()) {
    keys.push_back(JsonOf(key));
  }
  json::array mistakes;
  for (const std::string& mistake : state.file_mistakes()) {
    mistakes.emplace_back(mistake);
  }
  PrintJson({{"trust_domain", state.trust_domain()},
             {"bundle_sequence", state.bundle_sequence()},
             {"keys", std::move(keys)},
             {"entries", state.entries()},
             {"entries_in_files", state.file_entries()},
             {"files_read_at", JsonTime(state.files_read_at())},
             {"file_mistakes", std::move(mistakes)},
             {"agents", state.agents()},
             {"banned_agents", state.banned_agents()}});
}

void PrintStateText(const GetStateResponse& state) {
  const auto row = [](std::string_view name, const std::string& value) {
    PrintLine(fmt::format("{:<14} {}", name, ForeignText(value)));
  };
  row("trust domain", state.trust_domain());
  row("bundle", fmt::format("sequence number {}", state.bundle_sequence()));
  row("entries",
      state.file_entries() == 0
          ? fmt::format("{}", state.entries())
          : fmt::format("{}, {} of them in files", state.entries(), state.file_entries()));
  for (const std::string& mistake : state.file_mistakes()) {
    row("file mistake", mistake);
  }
  if (!state.file_mistakes().empty()) {
    row("files read",
        state.files_read_at() == 0
            ? "never without a mistake"
            : "last without a mistake " + DescribeTime(state.files_read_at()));
  }
  row("agents",
      state.banned_agents() == 0
          ? fmt::format("{}", state.agents())
          : fmt::format("{}, {} of them banned", state.agents(), state.banned_agents()));
  for (const KeyStatus& key : state.keys()) {
    std::string text = fmt::format(
        "{:<8}  {}  {}", StateText(key.state()), key.id(), "ends " + DescribeTime(key.not_after()));
    if (key.activates_at() != 0) {
      text += "; takes over " + DescribeTime(key.activates_at());
    }
    row(fmt::format("{} key", KindText(key.kind())), text + (key.tainted() ? "; tainted" : ""));
  }
}

Result<ExitCode> Status(const StatusOptions& options) {
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  const auto state = client->Call(&Control::Stub::GetState, {});
  if (!state.ok()) {
    return NotOurs(state.error());
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintStateJson(*state);
  } else {
    PrintStateText(*state);
  }
  return ExitCode::kOk;
}

Result<RotateKeyResponse> RotateOne(const AuthorityClient& client,
                                    SigningKeyRecord::Kind kind,
                                    const RotateOptions& options) {
  RotateKeyRequest request;
  request.set_kind(kind);
  request.set_taint(options.taint);
  request.set_now(options.now);
  for (int attempt = 1;; ++attempt) {
    auto reply = client.Call(&Control::Stub::RotateKey, request);
    if (reply.ok() || reply.error().code() != Code::kAborted || attempt == kAttempts) {
      return reply;
    }
    std::this_thread::sleep_for(kRetryWait);
  }
}

void PrintRotatedText(const RotateKeyResponse& rotated, bool taint) {
  const KeyStatus& key = rotated.key();
  const std::string_view kind = KindText(key.kind());
  if (key.activates_at() == 0) {
    PrintLine(fmt::format("{} key {} signs from now on, instead of {}{}.",
                          kind,
                          key.id(),
                          rotated.replaced_id(),
                          taint ? ", which is tainted" : ""));
    PrintLine(
        "  What it signs is refused by those who have not seen it yet, for as long as their "
        "next look at the bundle takes.");
  } else {
    PrintLine(fmt::format("{} key {} is published, and takes over from {} at {}{}.",
                          kind,
                          key.id(),
                          rotated.replaced_id(),
                          DescribeTime(key.activates_at()),
                          taint ? "; that one is tainted then" : ""));
    PrintLine(
        "  The authority does it by itself. If it is restarted before, ask again, or the key "
        "waits for the schedule.");
    if (taint) {
      PrintLine("  A key that has leaked can be replaced at once: -now");
    }
  }
  if (key.kind() == SigningKeyRecord::JWT) {
    PrintLine("  Vendors that take the keys inline need the new ones: credence jwks");
  }
}

Result<ExitCode> Rotate(const RotateOptions& options) {
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  const bool both = !options.x509 && !options.jwt;
  json::array rotated;
  for (const auto kind : {SigningKeyRecord::X509, SigningKeyRecord::JWT}) {
    if (!both && !(kind == SigningKeyRecord::X509 ? options.x509 : options.jwt)) {
      continue;
    }
    const auto reply = RotateOne(*client, kind, options);
    if (!reply.ok()) {
      const char* done = rotated.empty() ? "" : " (that of the X509 key is done)";
      return NotOurs(reply.error())
          .Wrap(fmt::format("rotation of the {} key{}", KindText(kind), done));
    }
    json::object one = JsonOf(reply->key());
    one["replaced_id"] = reply->replaced_id();
    rotated.push_back(std::move(one));
    if (options.authority.format == OutputFormat::kHuman) {
      PrintRotatedText(*reply, options.taint);
    }
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintJson({{"rotated", std::move(rotated)}});
  }
  return ExitCode::kOk;
}

}  // namespace

void AddAuthorityKeyCommands(CLI::App& authority, const std::shared_ptr<Action>& action) {
  auto status = std::make_shared<StatusOptions>();
  CLI::App* command = authority.add_subcommand("status", "Show how the running authority is doing");
  command->footer(
      "Examples:\n  credence authority status\n  credence authority status -output json");
  FinishCommand(*command, status, Status, action);

  auto rotate = std::make_shared<RotateOptions>();
  command = authority.add_subcommand("rotate", "Replace signing keys ahead of the schedule");
  command->footer(
      "Examples:\n"
      "  credence authority rotate                      both keys; no handshake fails\n"
      "  credence authority rotate -x509 -taint -now    the CA's key has leaked\n"
      "The next key is published at once and signs a minute later, so that every agent knows it by "
      "then; vendors that keep the keys for longer than that refuse new JWT-SVIDs until they fetch "
      "them again. Keys that are rotated stay in the bundle until a day after their end.");
  command->add_flag(
      "--x509", rotate->x509, "Only the key that signs X509-SVIDs (both keys by default)");
  command->add_flag("--jwt", rotate->jwt, "Only the key that signs JWT-SVIDs");
  command->add_flag("--taint", rotate->taint, "Mark the replaced key as leaked in the bundle");
  command->add_flag("--now", rotate->now, "Do not wait until the new key is known everywhere");
  FinishCommand(*command, rotate, Rotate, action);
}

}  // namespace credence
