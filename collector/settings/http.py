"""`[http]`: the address of the HTTP API and its pages, and who may query."""

from __future__ import annotations

from pydantic import Field, model_validator

from collector.settings import values
from collector.settings.section import ALL_ADDRESSES, SettingsError, SettingsSection


class HttpSettings(SettingsSection):
    """The address of the HTTP API and its pages, and who may query."""

    listen: values.EndpointOrOff = Field(
        "127.0.0.1:8480", description='ADDR:PORT, [::]:8480 for all addresses of IPv4 and IPv6; "off" disables it'
    )
    tokens: bool = Field(
        default=False, description="true or false: require a token on loopback too (bgpledger token add)"
    )
    tls_cert: values.PossiblePath | None = Field(None, description="a PEM file with our certificate and its chain")
    tls_key: values.PossiblePath | None = Field(None, description="a PEM file with the certificate's key")
    behind_tls: bool = Field(default=False, description="true or false: a proxy in front of it terminates TLS")
    hosts: values.HostNames = Field(
        (), description='host names under which it is reached, besides "localhost", such as ["bgp.example.net"]'
    )
    origins: values.Origins = Field(
        (), description='other sites whose pages may send requests, such as ["https://portal.example.net"]'
    )
    communities: values.PossiblePath | None = Field(
        None, description="a file that explains communities, one a line: 65000:100 = customer"
    )
    rate: float = Field(200.0, gt=0, le=1e6, description="requests a second that one client may send on average")
    seconds: float = Field(30.0, gt=0, le=3600, description="seconds that a query may take, up to 3600")

    @property
    def is_on(self) -> bool:
        """Whether anything listens."""
        return bool(self.listen)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return not self.is_on or values.is_loopback(values.split_endpoint(self.listen)[0])

    @property
    def asks_for_tokens(self) -> bool:
        """Whether every query needs a token."""
        return self.tokens or not self.is_local

    @property
    def url(self) -> str:
        """The URL for a browser on this machine."""
        address, port = values.split_endpoint(self.listen)
        host = "localhost" if address in ALL_ADDRESSES else f"[{address}]" if ":" in address else address
        return f"http{'s' if self.tls_cert else ''}://{host}:{port}/"

    @model_validator(mode="after")
    def _is_safe(self) -> HttpSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            lacking = "tls_key" if self.tls_key is None else "tls_cert"
            raise SettingsError(lacking, "is missing", "give both tls_cert and tls_key, or neither")
        if not self.is_local and self.tls_cert is None and not self.behind_tls:
            raise SettingsError(
                "listen",
                f"{self.listen} can be reached from elsewhere, and tokens would go there in the clear",
                "give tls_cert and tls_key, or behind_tls = true where a proxy speaks TLS, or listen on 127.0.0.1",
            )
        return self
