#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <grpcpp/client_context.h>

#include "agent/cli/authority/authority_client.h"
#include "agent/cli/output.h"
#include "base/core/result.h"

#include "spire/api/server/entry/v1/entry.pb.h"

/// Many entries to the server in requests that it takes.
namespace credence {

/// Most items of one request, and most bytes of them: servers take 4 MiB.
inline constexpr std::size_t kBatchItems = 500;
inline constexpr std::size_t kBatchBytes = std::size_t{2} << 20;

/// What came of a list of items, in its order.
template <class Reply>
struct BatchOutcome {
  Reply reply;
  /// How many of the results are failures.
  std::size_t failed = 0;
  /// Why the items after those of `reply` were not tried.
  std::optional<Error> ended_early;
};

template <class Request>
void AddItem(Request& request, const spire::api::types::Entry& entry) {
  *request.add_entries() = entry;
}
inline void AddItem(spire::api::server::entry::v1::BatchDeleteEntryRequest& request,
                    const std::string& id) {
  request.add_ids(id);
}

/// The server tells only the status of what failed.
template <class ItemResult>
void NameFailed(ItemResult& result, const spire::api::types::Entry& entry) {
  *result.mutable_entry() = entry;
}
inline void NameFailed(spire::api::server::entry::v1::BatchDeleteEntryResponse::Result& result,
                       const std::string& id) {
  result.set_id(id);
}

inline std::size_t ItemBytes(const spire::api::types::Entry& entry) {
  return entry.ByteSizeLong();
}
inline std::size_t ItemBytes(const std::string& id) {
  return id.size();
}

/// Sends `items` by `method`, such as Entry::Stub::BatchCreateEntry, and says how far it is on
/// standard error if one request does not do.
template <class Stub, class Request, class Reply, class Item>
BatchOutcome<Reply> SendInBatches(const AuthorityClient& client,
                                  grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                               const Request&,
                                                               Reply*),
                                  const std::vector<Item>& items) {
  BatchOutcome<Reply> outcome;
  std::size_t sent = 0;
  while (sent < items.size() && !outcome.ended_early) {
    Request request;
    std::size_t end = sent;
    for (std::size_t bytes = 0; end < items.size() && end - sent < kBatchItems; ++end) {
      bytes += ItemBytes(items[end]);
      if (end > sent && bytes > kBatchBytes) {
        break;
      }
      AddItem(request, items[end]);
    }
    auto reply = client.Call(method, request);
    if (!reply.ok()) {
      outcome.ended_early = std::move(reply).error();
    } else if (static_cast<std::size_t>(reply->results_size()) != end - sent) {
      outcome.ended_early = Error(Code::kInternal,
                                  fmt::format("the authority answered {} items with {} results",
                                              end - sent,
                                              reply->results_size()));
    } else {
      for (auto& result : *reply->mutable_results()) {
        if (result.status().code() != 0) {
          NameFailed(result, items[sent]);
          ++outcome.failed;
        }
        *outcome.reply.add_results() = std::move(result);
        ++sent;
      }
      if (items.size() > kBatchItems) {
        ReportError(fmt::format("{} of {} done", sent, items.size()));
      }
    }
  }
  return outcome;
}

}  // namespace credence
