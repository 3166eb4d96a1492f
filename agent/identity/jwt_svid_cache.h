#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

#include "agent/identity/entry_index.h"
#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/core/task_group.h"
#include "base/core/watch.h"
#include "base/svid/bundle.h"
#include "base/svid/jwt_svid.h"

namespace credence {

using SharedJwtSvid = std::shared_ptr<const JwtSvid>;

/// Signs one JWT-SVID at the server.
using SignJwtSvid = std::function<Task<Result<JwtSvid>>(
    std::string entry_id, std::vector<std::string> audience, Deadline deadline)>;

/// JWT-SVIDs per entry and audience. A valid one is answered at once; renewal happens in the
/// background at half of its life, as long as it is being asked for. Who finds none, or one that is
/// about to end, waits for one shared request, in the latter case for a second at most. A request
/// that nobody waits for any more is given up. A token that carries a jti is meant to be used once
/// and is handed to one caller only. Threads: core thread.
class JwtSvidCache {
 public:
  struct Options {
    /// Least recently used ones go first; one entry's make room among themselves.
    std::size_t max_size = 1000;
    std::size_t max_per_entry = 200;
    /// Requests to the server that go on for one entry at a time.
    std::size_t max_signing_per_entry = 256;
    /// For one request to the server, whatever callers wait for it.
    std::chrono::seconds sign_timeout{30};
  };

  JwtSvidCache(asio::any_io_executor executor,
               const Clock& clock,
               SignJwtSvid sign,
               Options options);

  /// Errors: those of signing; kDeadlineExceeded; kResourceExhausted over max_signing_per_entry.
  Task<Result<SharedJwtSvid>> Get(SharedEntry entry,
                                  std::vector<std::string> audience,
                                  Deadline deadline);

  /// Drops tokens of entries that `still_there` no longer holds for that identity, and tokens
  /// signed by a key that is tainted or not among `keys` (a withdrawn authority); no keys at all
  /// means that they are not known and drops nothing.
  void Prune(const EntryMap& still_there, const std::vector<JwtAuthority>& keys);

  std::size_t size() const { return tokens_.size(); }
  /// Requests to the server that go on now.
  std::size_t signing() const { return flights_.size(); }

  /// Looks at the schedule now.
  void Wake() { wake_.cancel(); }

  void Start();
  Task<void> Stop() { return tasks_.Stop(); }

 private:
  struct Key {
    std::string entry_id;
    /// An entry can be changed to another identity.
    std::string spiffe_id;
    std::vector<std::string> audience;
    auto operator<=>(const Key&) const = default;
  };
  struct Token {
    SharedJwtSvid svid;
    WallTime renew_at;
    /// Asked for since it was signed; one that nobody wants is not renewed.
    bool used = false;
    std::list<Key>::iterator recency;
  };
  using Outcome = Result<SharedJwtSvid>;
  /// A request to the server.
  struct Flight {
    explicit Flight(asio::any_io_executor executor) : outcome(std::move(executor), nullptr) {}
    Watch<std::shared_ptr<const Outcome>> outcome;
    /// A token for one caller has found it.
    bool taken = false;
    std::size_t waiting = 0;
    /// For the cache itself: it goes on without anybody waiting.
    bool renewal = false;
    /// null once it has ended or was given up.
    asio::cancellation_signal* cancel = nullptr;
    /// Nobody joins it any more.
    bool given_up = false;
  };
  class Waiter;
  class Landing;

  static Task<Result<void>> Landed(std::shared_ptr<Flight> flight);
  /// nullptr if there is none.
  Token* FindValid(const Key& key);
  /// About to end, and the server has not just been asked in vain.
  bool IsWorthWaiting(const Key& key, const Token& token) const;
  /// As many requests go on for the entry as may.
  bool IsBusy(const std::string& entry_id) const;
  /// So that no request for `key` may begin, and none goes on.
  bool IsBusyWithOthers(const Key& key) const;
  /// A token that is not kept. Errors: as Get.
  Task<Result<SharedJwtSvid>> SignForOne(std::string entry_id,
                                         std::vector<std::string> audience,
                                         Deadline deadline);
  std::shared_ptr<Flight> Join(const Key& key);
  /// Cancels a flight soon, unless somebody joins it before.
  void GiveUp(const std::shared_ptr<Flight>& flight);
  Task<void> Sign(Key key, std::unique_ptr<Landing> landing);
  Task<void> RenewAhead();
  void Keep(const Key& key, SharedJwtSvid svid);
  /// Drops what was used least recently, of the entry's own if it has too many.
  void MakeRoom(const std::string& entry_id);
  void Erase(std::map<Key, Token>::iterator token);

  asio::any_io_executor executor_;
  const Clock& clock_;
  SignJwtSvid sign_;
  Options options_;
  std::map<Key, Token> tokens_;
  /// Most recently used first.
  std::list<Key> recency_;
  std::map<Key, std::shared_ptr<Flight>> flights_;
  /// Requests for tokens that carry a jti, which are nobody else's, by entry.
  std::map<std::string, std::size_t> single_use_;
  asio::steady_timer wake_;
  TaskGroup tasks_;
};

}  // namespace credence
