#include "base/rpc/client_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/core/secret_bytes.h"

namespace credence {

ClientStream::~ClientStream() {
  WipeString(outgoing_);
}

void ClientStream::Changed() {
  if (on_change) {
    on_change();
  }
}

void ClientStream::End(RpcVerdict verdict) {
  if (!verdict_) {
    verdict_ = std::move(verdict);
    Changed();
  }
}

std::optional<std::string> ClientStream::Take() {
  if (discarding_) {
    return std::nullopt;
  }
  if (!incoming_.HasMessage()) {
    if (verdict_ && verdict_->result.ok() && incoming_.size() > 0) {
      verdict_ = RpcVerdict::Failed(Code::kInternal, "the server's answer stops inside a message");
    }
    return std::nullopt;
  }
  auto message = incoming_.Take();
  if (!message.ok()) {
    // Even a verdict that is there does not make such an answer good.
    verdict_ = RpcVerdict{std::move(message).error(), ""};
    Discard();
    return std::nullopt;
  }
  return *std::move(message);
}

void ClientStream::OnData(std::string_view bytes) {
  unreleased_ += bytes.size();
  if (discarding_ || verdict_) {
    return;
  }
  if (auto appended = incoming_.Append(bytes); !appended.ok()) {
    Discard();
    End(RpcVerdict{std::move(appended).error(), ""});
  } else if (incoming_.HasMessage()) {
    Changed();
  }
}

std::size_t ClientStream::TakeReleased() {
  const bool wanted = discarding_ || verdict_ || !incoming_.HasMessage();
  return wanted ? std::exchange(unreleased_, 0) : 0;
}

std::size_t ClientStream::Fill(std::span<std::uint8_t> out) {
  const std::size_t count = std::min(out.size(), outgoing_.size() - sent_);
  if (count > 0) {
    std::memcpy(out.data(), outgoing_.data() + sent_, count);
    sent_ += count;
  }
  if (count > 0 && all_sent()) {
    WipeString(outgoing_);
    outgoing_ = {};
    sent_ = 0;
    Changed();
  }
  return count;
}

}  // namespace credence
