#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/authority/answer_checks.h"
#include "tests/fuzz/authority/authority_world.h"

/// The trust authority's API, called by everybody it knows and some it does not.
namespace credence {
namespace {

enum class Right { kAnybody, kAgent, kAgentOrOperator, kOperator, kPrivate };

struct Method {
  std::string_view path;
  Right right = Right::kOperator;
  void (*check)(const Answered& call) = nullptr;
};

constexpr std::string_view kGetBundle = "/spire.api.server.bundle.v1.Bundle/GetBundle";
constexpr std::string_view kSync = "/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries";
constexpr std::string_view kRefresh = "/spire.api.server.trustdomain.v1.TrustDomain/RefreshBundle";

/// New ones go to the end, so that seeds keep their meaning.
constexpr Method kMethods[] = {
    {"/spire.api.server.agent.v1.Agent/AttestAgent", Right::kAnybody, CheckAttest},
    {"/spire.api.server.agent.v1.Agent/RenewAgent", Right::kAgent, CheckRenew},
    {"/spire.api.server.agent.v1.Agent/PostStatus", Right::kAgent, CheckPostStatus},
    {"/spire.api.server.agent.v1.Agent/CreateJoinToken", Right::kOperator, CheckJoinToken},
    {"/spire.api.server.agent.v1.Agent/ListAgents", Right::kOperator, CheckListAgents},
    {"/spire.api.server.agent.v1.Agent/CountAgents", Right::kOperator},
    {"/spire.api.server.agent.v1.Agent/GetAgent", Right::kOperator, CheckGetAgent},
    {"/spire.api.server.agent.v1.Agent/DeleteAgent", Right::kOperator, CheckDeleteAgent},
    {"/spire.api.server.agent.v1.Agent/BanAgent", Right::kOperator, CheckBanAgent},
    {kSync, Right::kAgent},
    {"/spire.api.server.entry.v1.Entry/GetAuthorizedEntries", Right::kAgent, CheckAuthorized},
    {"/spire.api.server.entry.v1.Entry/CountEntries", Right::kOperator},
    {"/spire.api.server.entry.v1.Entry/ListEntries", Right::kOperator, CheckListEntries},
    {"/spire.api.server.entry.v1.Entry/GetEntry", Right::kOperator, CheckGetEntry},
    {"/spire.api.server.entry.v1.Entry/BatchCreateEntry",
     Right::kOperator,
     CheckPutEntries<entryv1::BatchCreateEntryRequest, entryv1::BatchCreateEntryResponse>},
    {"/spire.api.server.entry.v1.Entry/BatchUpdateEntry",
     Right::kOperator,
     CheckPutEntries<entryv1::BatchUpdateEntryRequest, entryv1::BatchUpdateEntryResponse>},
    {"/spire.api.server.entry.v1.Entry/BatchDeleteEntry", Right::kOperator, CheckDeleteEntries},
    {"/spire.api.server.svid.v1.SVID/BatchNewX509SVID", Right::kAgent, CheckMint},
    {"/spire.api.server.svid.v1.SVID/NewJWTSVID", Right::kAgent, CheckJwt},
    {kGetBundle, Right::kAnybody, CheckOwnBundle},
    {"/spire.api.server.bundle.v1.Bundle/GetFederatedBundle", Right::kAgentOrOperator},
    {"/spire.api.server.bundle.v1.Bundle/CountBundles", Right::kOperator},
    {"/spire.api.server.bundle.v1.Bundle/ListFederatedBundles", Right::kOperator, CheckListBundles},
    {"/spire.api.server.bundle.v1.Bundle/BatchSetFederatedBundle",
     Right::kOperator,
     CheckSetBundles},
    {"/spire.api.server.bundle.v1.Bundle/BatchDeleteFederatedBundle",
     Right::kOperator,
     CheckDeleteBundles},
    {"/spire.api.server.trustdomain.v1.TrustDomain/ListFederationRelationships",
     Right::kOperator,
     CheckListRelationships},
    {"/spire.api.server.trustdomain.v1.TrustDomain/GetFederationRelationship", Right::kOperator},
    {"/spire.api.server.trustdomain.v1.TrustDomain/BatchCreateFederationRelationship",
     Right::kOperator,
     CheckPutRelationships<domainv1::BatchCreateFederationRelationshipResponse>},
    {"/spire.api.server.trustdomain.v1.TrustDomain/BatchUpdateFederationRelationship",
     Right::kOperator,
     CheckPutRelationships<domainv1::BatchUpdateFederationRelationshipResponse>},
    {"/spire.api.server.trustdomain.v1.TrustDomain/BatchDeleteFederationRelationship",
     Right::kOperator,
     CheckDeleteRelationships},
    {kRefresh, Right::kOperator},
    {"/credence.authority.v1.Control/GetState", Right::kPrivate},
    {"/credence.authority.v1.Control/ListFileEntries", Right::kPrivate},
    {"/credence.authority.v1.Control/RotateKey", Right::kPrivate, CheckRotation},
    {"/spire.api.server.svid.v1.SVID/MintX509SVID", Right::kPrivate},
};

constexpr std::size_t kMostRecords = 16;
constexpr std::size_t kMostReply = std::size_t{4} << 20;
/// In a record's second byte.
constexpr unsigned kDiskFull = 0x80;
constexpr unsigned kCallerBits = 0x0f;

/// One step of an input.
struct Record {
  std::uint8_t method = 0;
  std::uint8_t caller = 0;
  std::string request;
};

/// The method, the caller, the length of the request in two bytes, the request.
Record TakeRecord(std::string_view& input) {
  const auto byte = [&] {
    const auto value = input.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(input.front());
    input.remove_prefix(input.empty() ? 0 : 1);
    return value;
  };
  Record record;
  record.method = byte();
  record.caller = byte();
  std::size_t length = byte();
  length = length << 8U | byte();
  record.request = input.substr(0, length);
  input.remove_prefix(record.request.size());
  return record;
}

/// Those of a stream, each behind a byte with its length.
std::deque<std::string> Messages(std::string_view bytes) {
  std::deque<std::string> messages;
  while (!bytes.empty()) {
    const auto length = static_cast<unsigned char>(bytes.front());
    messages.emplace_back(bytes.substr(1, length));
    bytes.remove_prefix(1 + messages.back().size());
  }
  return messages;
}

bool IsGoodAgent(World& world, const ShownChain& caller) {
  const auto& agents = world.tables().agents;
  const auto found = agents.find(caller.id);
  return caller.not_after > world.now() && found != agents.end() && !found->second.banned() &&
         (caller.serial == found->second.serial() || caller.serial == found->second.new_serial());
}

bool IsAdmin(World& world, const ShownChain& caller) {
  const auto& entries = world.tables().entries.all();
  return caller.not_after > world.now() &&
         std::any_of(entries.begin(), entries.end(), [&](const auto& entry) {
           return entry.second->admin() && TextOfId(entry.second->spiffe_id()) == caller.id &&
                  !Expired(entry.second->expires_at(), world.now());
         });
}

/// nullptr: the private socket.
bool MayCall(World& world, const Method& method, const ShownChain* caller) {
  if (caller == nullptr) {
    return method.right == Right::kOperator || method.right == Right::kAgentOrOperator ||
           method.right == Right::kPrivate || method.path == kGetBundle;
  }
  switch (method.right) {
    case Right::kAnybody:
      return true;
    case Right::kAgent:
      return IsGoodAgent(world, *caller);
    case Right::kAgentOrOperator:
      return IsGoodAgent(world, *caller) || IsAdmin(world, *caller);
    case Right::kOperator:
      return IsAdmin(world, *caller);
    case Right::kPrivate:
      return false;
  }
  return false;
}

class Run {
 public:
  explicit Run(World& world)
      : world_(world), applied_(world.store().applied()), rows_(RowsOnDisk(world)) {}

  void Step(const Record& record) {
    const std::size_t number = record.method % (std::size(kMethods) + 1);
    if (number == std::size(kMethods)) {
      world_.Advance(std::chrono::minutes(record.caller));
      rows_ = RowsOnDisk(world_);
      return;
    }
    const Method& method = kMethods[number];
    const ShownChain nobody;
    const ShownChain* caller = CallerOf(record.caller & kCallerBits, nobody);
    const bool may = MayCall(world_, method, caller);
    // Nothing of this may go to the network.
    if (may && method.path == kRefresh && !world_.tables().federation.empty()) {
      return;
    }
    std::vector<std::string> replies;
    world_.store().set_full((record.caller & kDiskFull) != 0);
    const h2::Status status = world_.Call(
        method.path,
        method.path == kSync ? Messages(record.request) : std::deque<std::string>{record.request},
        caller == nullptr ? nullptr : &caller->chain,
        replies);
    world_.store().set_full(false);
    for (const std::string& reply : replies) {
      CREDENCE_CHECK(may && reply.size() <= kMostReply);
    }
    if (!may) {
      CREDENCE_CHECK(status.code == Code::kPermissionDenied || status.code == Code::kUnimplemented);
    }
    if (world_.store().applied() != applied_ && CheckChange()) {
      CREDENCE_CHECK(may && (record.caller & kDiskFull) == 0);
      // An agent that uses its new certificate has done so, whatever else it is told.
      CREDENCE_CHECK(status.ok() || method.right == Right::kAgent ||
                     method.right == Right::kAgentOrOperator);
    }
    if (status.ok() && method.check != nullptr) {
      CREDENCE_CHECK(replies.size() == 1);
      method.check(Answered{world_,
                            method.path,
                            record.request,
                            replies.front(),
                            caller == nullptr ? "" : caller->id,
                            given_});
    }
  }

  /// The disk says what the memory does, also where nothing has been stored.
  void End() { CheckTables(world_, RowsOnDisk(world_)); }

 private:
  /// Whether the disk holds something else now, which memory then does too.
  bool CheckChange() {
    applied_ = world_.store().applied();
    Rows rows = RowsOnDisk(world_);
    if (rows == rows_) {
      return false;
    }
    CheckTables(world_, rows);
    rows_ = std::move(rows);
    return true;
  }

  /// The private socket, TLS without a certificate, one that the origin made, or the last two that
  /// were given.
  const ShownChain* CallerOf(std::size_t number, const ShownChain& nobody) {
    const auto& made = world_.origin().chains();
    if (number == 0) {
      return nullptr;
    }
    if (number >= 2 && number < made.size() + 2) {
      return &made[number - 2];
    }
    const std::size_t back = number - 1 - made.size();
    if (number >= 2 && back <= 2 && back <= given_.size()) {
      kept_ = given_[given_.size() - back];
      return &kept_;
    }
    return &nobody;
  }

  World& world_;
  /// What the disk held after the step before.
  std::uint64_t applied_;
  Rows rows_;
  std::vector<ShownChain> given_;
  /// A copy: an answer can give more.
  ShownChain kept_;
};

}  // namespace
}  // namespace credence

/// Calls one after the other, at most kMostRecords; see TakeRecord.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const credence::Origin origin;
  static std::optional<credence::World> world;
  if (!world || !world->Reset()) {
    world.reset();
    world.emplace(origin);
  }
  std::string_view input(static_cast<const char*>(static_cast<const void*>(data)), size);
  credence::Run run(*world);
  for (std::size_t i = 0; i < credence::kMostRecords && !input.empty(); ++i) {
    run.Step(credence::TakeRecord(input));
  }
  run.End();
  return 0;
}
