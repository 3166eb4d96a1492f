#pragma once

#include <string>
#include <utility>

#include <grpcpp/client_context.h>

#include "agent/cli/authority/authority_client.h"
#include "base/core/result.h"

namespace credence {

/// All pages of a list in one answer: `method` is one such as Entry::Stub::ListEntries, `request`
/// says what and how much a page holds. Errors: as AuthorityClient::Call; kInternal if the server
/// does not get on.
template <class Stub, class Request, class Reply>
Result<Reply> FetchPages(const AuthorityClient& client,
                         grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                         Request request) {
  Reply all;
  std::string token;
  do {
    request.set_page_token(token);
    auto page = client.Call(method, request);
    if (!page.ok()) {
      return std::move(page).error();
    }
    token = page->next_page_token();
    if (!token.empty() && token == request.page_token()) {
      return Error(Code::kInternal, "the authority answered the same page of its list twice");
    }
    page->clear_next_page_token();
    all.MergeFrom(*page);
  } while (!token.empty());
  return all;
}

}  // namespace credence
