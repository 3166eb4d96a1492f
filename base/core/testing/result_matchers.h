#pragma once

#include <string>
#include <utility>

#include <gmock/gmock.h>

#include "base/core/result.h"

/// Matchers that make a test name the value or the code it expects.
namespace credence {

MATCHER(IsOk, "is a success") {
  if (!arg.ok()) {
    *result_listener << "failed with " << arg.error();
  }
  return arg.ok();
}

MATCHER_P(IsOkAndHolds, inner, "is a success with a fitting value") {
  if (!arg.ok()) {
    *result_listener << "failed with " << arg.error();
    return false;
  }
  return testing::ExplainMatchResult(inner, arg.value(), result_listener);
}

MATCHER_P2(FailsWith,
           code,
           message,
           "fails with " + std::string(CodeName(code)) + " and a message that fits") {
  if (arg.ok()) {
    *result_listener << "succeeded";
    return false;
  }
  *result_listener << "failed with " << arg.error();
  return arg.error().code() == code &&
         testing::ExplainMatchResult(message, arg.error().message(), result_listener);
}

MATCHER_P(FailsWithCode, code, "fails with " + std::string(CodeName(code))) {
  if (arg.ok()) {
    *result_listener << "succeeded";
    return false;
  }
  *result_listener << "failed with " << arg.error();
  return arg.error().code() == code;
}

}  // namespace credence
