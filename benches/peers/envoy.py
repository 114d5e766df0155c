"""Envoy's configuration: the same listeners as the other proxies'."""

import json

from rig import (
    DELAY_MS,
    HOST,
    MIX_ABORT_PERCENT,
    MIX_DELAY_PERCENT,
    UP_GRPC,
    UP_H2C,
    UP_HTTP,
    UP_REDIS,
    UP_SSE,
)

API = "type.googleapis.com/envoy.extensions"


def address(port):
    return {"socket_address": {"address": HOST, "port_value": port}}


def cluster(name, port, h2=False):
    limits = {"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}
    endpoint = {"endpoint": {"address": address(port)}}
    out = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if h2:
        kind = f"{API}.upstreams.http.v3.HttpProtocolOptions"
        options = {"@type": kind, "explicit_http_config": {"http2_protocol_options": {}}}
        out["typed_extension_protocol_options"] = {kind.partition("/")[2]: options}
    return out


def http(cluster_name, fault=None, codec="AUTO"):
    filters = [{"name": "router", "typed_config": {"@type": f"{API}.filters.http.router.v3.Router"}}]
    if fault:
        config = {"@type": f"{API}.filters.http.fault.v3.HTTPFault", **fault}
        filters.insert(0, {"name": "fault", "typed_config": config})
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster_name, "timeout": "0s"}}
    manager = "HttpConnectionManager"
    return {
        "name": "http",
        "typed_config": {
            "@type": f"{API}.filters.network.http_connection_manager.v3.{manager}",
            "stat_prefix": "s",
            "codec_type": codec,
            "generate_request_id": False,
            "http_filters": filters,
            "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]},
        },
    }


def listener(port, filter_, tls=None):
    chain = {"filters": [filter_]}
    if tls:
        cert, key = ({"filename": str(path)} for path in tls)
        pair = {"certificate_chain": cert, "private_key": key}
        context = {
            "@type": f"{API}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [pair]},
        }
        chain["transport_socket"] = {"name": "tls", "typed_config": context}
    return {"address": address(port), "filter_chains": [chain]}


def configuration(base, tls):
    def share(percent):
        return {"percentage": {"numerator": percent, "denominator": "HUNDRED"}}

    delay = {"fixed_delay": f"{DELAY_MS / 1000}s"}
    mix = {"delay": {**delay, **share(MIX_DELAY_PERCENT)}, "abort": {"http_status": 503, **share(MIX_ABORT_PERCENT)}}
    tcp = {
        "name": "tcp",
        "typed_config": {
            "@type": f"{API}.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "t",
            "cluster": "redis",
        },
    }
    resources = {
        "listeners": [
            listener(base, http("h1")),
            listener(base + 1, http("h2", codec="HTTP2")),
            listener(base + 2, tcp),
            listener(base + 3, http("h1", {"delay": {**delay, **share(100)}})),
            listener(base + 4, http("h1", mix)),
            listener(base + 5, http("sse")),
            listener(base + 10, http("h1"), tls),
            listener(base + 11, http("grpc", codec="HTTP2")),
        ],
        "clusters": [
            cluster("h1", UP_HTTP),
            cluster("h2", UP_H2C, h2=True),
            cluster("grpc", UP_GRPC, h2=True),
            cluster("redis", UP_REDIS),
            cluster("sse", UP_SSE),
        ],
    }
    return json.dumps({"static_resources": resources}, indent=1)
