"""Rows WE-* of the SPIFFE requirements, over raw gRPC. Source: SPIFFE Workload Endpoint."""

import os
import stat

import pytest

from harness.caller import HEADER, Caller, RpcError
from harness.fixtures import ALICE, BOB, NOBODY
from harness.handed_over import HandedOver

SERVICE = "/SpiffeWorkloadAPI/"
STREAMS = ("FetchX509SVID", "FetchX509Bundles", "FetchJWTBundles")
UNARY = ("FetchJWTSVID", "ValidateJWTSVID")


@pytest.fixture
def requests(protos):
    """A well-formed request for each method."""
    return {
        "FetchJWTSVID": protos.workload.JWTSVIDRequest(audience=["x"]),
        "ValidateJWTSVID": protos.workload.ValidateJWTSVIDRequest(audience="x", svid="a.b.c"),
    }


def refusal(caller, method, request=b"", metadata=HEADER):
    with pytest.raises(RpcError) as caught:
        if method in STREAMS:
            caller.open(SERVICE + method, request, metadata=metadata).next()
        else:
            caller.call(SERVICE + method, request, metadata=metadata)
    return caught.value


def test_WE_1_WE_4_default_is_a_unix_socket_that_every_user_may_open(agent):
    mode = os.stat(agent.socket).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o777


def test_WE_1_WE_2_WE_5_no_tcp_port_is_open(agent):
    inodes = {os.readlink(f"/proc/{agent.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{agent.process.pid}/fd")}
    listening = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}", encoding="ascii") as lines:
            listening += [line.split() for line in lines if " 0A " in line]
    assert not [row for row in listening if f"socket:[{row[9]}]" in inodes]


def test_WE_3_WE_8_WE_13_plain_grpc_without_credentials_is_served(caller, protos):
    answer = caller(ALICE).open(SERVICE + "FetchX509SVID", answer_type=protos.workload.X509SVIDResponse).next()
    assert answer.svids[0].spiffe_id == "spiffe://example.org/alice"


@pytest.mark.parametrize("value", [None, "True", "TRUE", "1", "", "true "], ids=["absent", "True", "TRUE", "1", "empty", "space"])
@pytest.mark.parametrize("method", STREAMS + UNARY)
def test_WE_7_wrong_header_is_InvalidArgument(caller, requests, method, value):
    metadata = [] if value is None else [("workload.spiffe.io", value)]
    error = refusal(caller(ALICE), method, requests.get(method, b""), metadata)
    if value == "true " and error.code == "INVALID_ARGUMENT":
        return  # gRPC may trim white space on the way; then the next assertion would not be about the header
    assert error.code == "INVALID_ARGUMENT"
    assert "header" in error.message


def test_WE_7_header_is_checked_before_identity(caller):
    error = refusal(caller(NOBODY), "FetchX509SVID", metadata=[])
    assert error.code == "INVALID_ARGUMENT"


def test_WE_14_WE_15_kernel_tells_who_calls(caller, protos):
    """Nothing but the process's user differs between these two."""
    alice = caller(ALICE).open(SERVICE + "FetchX509SVID", answer_type=protos.workload.X509SVIDResponse).next()
    error = refusal(caller(NOBODY), "FetchX509SVID")
    assert alice.svids[0].spiffe_id == "spiffe://example.org/alice"
    assert error.code == "PERMISSION_DENIED"


@pytest.mark.parametrize("method", STREAMS + ("FetchJWTSVID",))
def test_WE_19_WA_24_WA_28_WA_36_WA_39_no_identity_is_PermissionDenied(caller, requests, method):
    error = refusal(caller(NOBODY), method, requests.get(method, b""))
    assert error.code == "PERMISSION_DENIED"


@pytest.mark.parametrize("path", [
    "/SpiffeWorkloadAPI/NoSuchMethod", "/NoSuchService/FetchX509SVID", "/SpiffeWorkloadAPI/", "/"])
def test_WE_21_unknown_method_is_Unimplemented(caller, path):
    with pytest.raises(RpcError) as caught:
        caller(ALICE).call(path, timeout=5)
    assert caught.value.code == "UNIMPLEMENTED"


@pytest.mark.parametrize("method", ["FetchWITSVID", "FetchWITBundles"])
def test_WE_21_WA_46_profile_that_is_off_is_Unimplemented(caller, method):
    with pytest.raises(RpcError) as caught:
        caller(ALICE).call(SERVICE + method, timeout=5)
    assert caught.value.code == "UNIMPLEMENTED"


def test_WE_24_WA_1_every_method_of_both_profiles_answers(caller, requests, protos):
    alice = caller(ALICE)
    for method in STREAMS:
        assert alice.open(SERVICE + method).next()
    assert alice.call(SERVICE + "FetchJWTSVID", requests["FetchJWTSVID"])
    assert refusal(alice, "ValidateJWTSVID", requests["ValidateJWTSVID"]).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("method", ["GetCredential", "ListDestinations", "CheckDestination", "GetStatus", "Check",
                                    "ServerReflectionInfo"])
def test_WE_22_WA_3_workload_api_has_no_method_of_ours(caller, method):
    with pytest.raises(RpcError) as caught:
        caller(ALICE).call(SERVICE + method, timeout=5)
    assert caught.value.code == "UNIMPLEMENTED"


def test_WE_14_connection_that_a_child_of_another_user_inherited_keeps_its_caller(agent, scratch, protos):
    """Who connected counts, not who writes; once that process has ended, nobody is served in its place."""
    with HandedOver(scratch, agent.socket, connector=ALICE, user=BOB) as handed, Caller(handed.front, NOBODY) as caller:
        answer = caller.open(SERVICE + "FetchX509SVID", answer_type=protos.workload.X509SVIDResponse).next()
        assert [svid.spiffe_id for svid in answer.svids] == ["spiffe://example.org/alice"]
        handed.end_connector()
        assert refusal(caller, "FetchX509SVID").code in ("UNAVAILABLE", "UNAUTHENTICATED")


def test_WE_14_process_that_changed_its_user_is_served_as_neither(agent, scratch, protos):
    with HandedOver(scratch, agent.socket, connector=ALICE, user=BOB, fork=False) as handed, Caller(handed.front, NOBODY) as caller:
        assert refusal(caller, "FetchX509SVID").code in ("UNAVAILABLE", "UNAUTHENTICATED")


def test_WE_14_process_that_changed_its_user_is_asked_to_reconnect_and_then_served_as_the_new_one(agent, protos):
    """As a daemon does that drops its privileges; its gRPC client reconnects by itself."""
    with Caller(agent.socket, 0) as caller:
        assert refusal(caller, "FetchX509SVID", metadata=[]).code == "INVALID_ARGUMENT"
        caller.become(ALICE)
        assert refusal(caller, "FetchX509SVID").code == "UNAVAILABLE"
        answer = caller.open(SERVICE + "FetchX509SVID", answer_type=protos.workload.X509SVIDResponse).next()
        assert [svid.spiffe_id for svid in answer.svids] == ["spiffe://example.org/alice"]
