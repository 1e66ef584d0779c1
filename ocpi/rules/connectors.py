"""The rules of what a Connector can deliver: volts, amperes and watts that do not go together.

Only the comparison of watts with volts times amperes looks at every Connector, and there the arithmetic is remembered:
whole fleets share a few dozen combinations. The other rules begin at a trigger.

Source: OCPI 2.2.1 mod_locations, "Connector object"; protocol §5.4, §6.1 L-17.
"""

from functools import lru_cache

from ocpi.rules.book import Hits, Object, Words, rule
from ocpi.rules.findings import WARNING
from ocpi.schemas.locations import Connector

# All in one: the fewer ways a text may go, the faster the scan. DC of 400 V matches as well, which is no harm.
_ODD = (
    r'"max_(?:voltage":(?:0|3[89][0-9],|4[01][0-9],|1[5-9][0-9]{2}|[2-9][0-9]{3}|[0-9]{5})'
    r'|amperage":(?:0|[1-9][0-9]{3})|electric_power":[1-9][0-9]{0,2},)'
)
_PHASES = {"AC_1_PHASE": 1, "AC_2_PHASE": 2, "AC_2_PHASE_SPLIT": 2, "AC_3_PHASE": 3, "DC": 1}
_MOST_VOLTS, _MOST_AMPERES = 1_500, 1_000  # direct current reaches 1000 V and 600 A today
_LEAST_VOLTS, _LEAST_AMPERES = 100, 6  # below these nothing charges, so a thousandth that low is no fix
_LEAST_WATTS = 1_000
_PLAUSIBLE = 1.1  # rounding, and a mains voltage above its nominal value


@rule(
    Connector,
    id="L-17",
    severity=WARNING,
    source="protocol §6.1 L-17",
    message=(
        "max_electric_power is {value} W; {power_type} of {max_voltage} V and {max_amperage} A gives at most {most} W",
        "max_electric_power is {value} W; {power_type} met {max_voltage} V en {max_amperage} A geeft hoogstens {most} W",
    ),
    hint=(
        "{meant} Check max_amperage and power_type too.",
        "{meant} Controleer ook max_amperage en power_type.",
    ),
)
def more_power_than_volts_times_amperes(connector: Object) -> Hits:
    return _excess(
        connector["power_type"],
        connector["max_voltage"],
        connector["max_amperage"],
        connector.get("max_electric_power", 0),
    )


@lru_cache(maxsize=4096)
def _excess(power_type: str, volts: int, amperes: int, watts: int) -> Hits:
    most = _PHASES[power_type] * volts * amperes
    if _is_line_to_line(power_type, volts):
        most = round(most / 3**0.5)
    if not most or watts <= _PLAUSIBLE * most:
        return None
    thousandth = watts // 1000
    meant = f"{thousandth} W?" if _LEAST_WATTS <= thousandth <= _PLAUSIBLE * most else ""
    return {"/max_electric_power": {"most": most, "power_type": Words(power_type), "meant": Words(meant)}}


def _is_line_to_line(power_type: str, volts: int) -> bool:
    return power_type == "AC_3_PHASE" and 380 <= volts <= 415


@rule(
    Connector,
    id="L-17",
    severity=WARNING,
    source="protocol §6.1 L-17",
    message=(
        "max_electric_power is {value} W; expected the power in watts, at least 1000",
        "max_electric_power is {value} W; verwacht wordt het vermogen in watt, ten minste 1000",
    ),
    hint=("kW instead of W? {meant}", "kW in plaats van W? {meant}"),
    trigger=_ODD,
)
def less_than_a_kilowatt(connector: Object) -> Hits:
    watts = connector.get("max_electric_power", 0)
    if not 0 < watts < _LEAST_WATTS:
        return None
    most = _PHASES[connector["power_type"]] * connector["max_voltage"] * connector["max_amperage"]
    if watts * 1000 <= _PLAUSIBLE * most:
        return {"/max_electric_power": {"meant": watts * 1000}}
    is_small = watts <= _PLAUSIBLE * most and most < _LEAST_WATTS  # a socket for bicycles
    return None if is_small else ["/max_electric_power"]


@rule(
    Connector,
    id="L-17",
    severity=WARNING,
    source='OCPI 2.2.1 mod_locations, "Connector object"; protocol §5.4, §6.1 L-17',
    message=(
        "max_voltage is {value} with AC_3_PHASE: that is line-to-line; OCPI wants line-to-neutral, 230",
        "max_voltage is {value} bij AC_3_PHASE: dat is tussen de fasen; OCPI wil de spanning tussen fase en nul, 230",
    ),
    hint=("Send 230, and the amperes per phase.", "Geef 230 op, en de ampères per fase."),
    trigger=_ODD,
)
def line_to_line_voltage(connector: Object) -> Hits:
    return ["/max_voltage"] if _is_line_to_line(connector["power_type"], connector["max_voltage"]) else None


@rule(
    Connector,
    id="L-17",
    severity=WARNING,
    source="protocol §6.1 L-17",
    message=("max_voltage is 0; expected the volts", "max_voltage is 0; verwacht wordt het aantal volt"),
    hint=("230 for alternating current in the Netherlands.", "230 voor wisselstroom in Nederland."),
    trigger=_ODD,
)
def no_voltage(connector: Object) -> Hits:
    return None if connector["max_voltage"] else ["/max_voltage"]


@rule(
    Connector,
    id="L-17",
    severity=WARNING,
    source="protocol §6.1 L-17",
    message=("max_amperage is 0; expected the amperes", "max_amperage is 0; verwacht wordt het aantal ampère"),
    trigger=_ODD,
)
def no_amperage(connector: Object) -> Hits:
    return None if connector["max_amperage"] else ["/max_amperage"]


@rule(
    Connector,
    id="L-17",
    severity=WARNING,
    source="protocol §6.1 L-17",
    message=(
        "max_voltage is {value} V; expected 1500 V or less",
        "max_voltage is {value} V; verwacht wordt hoogstens 1500 V",
    ),
    hint=("{value}: divided by 1000 is {meant}.", "{value}: gedeeld door 1000 is {meant}."),
    trigger=_ODD,
)
def voltage_beyond_belief(connector: Object) -> Hits:
    return _beyond("max_voltage", connector["max_voltage"], _LEAST_VOLTS, _MOST_VOLTS)


@rule(
    Connector,
    id="L-17",
    severity=WARNING,
    source="protocol §6.1 L-17",
    message=(
        "max_amperage is {value} A; expected 1000 A or less",
        "max_amperage is {value} A; verwacht wordt hoogstens 1000 A",
    ),
    hint=("{value}: divided by 1000 is {meant}.", "{value}: gedeeld door 1000 is {meant}."),
    trigger=_ODD,
)
def amperage_beyond_belief(connector: Object) -> Hits:
    return _beyond("max_amperage", connector["max_amperage"], _LEAST_AMPERES, _MOST_AMPERES)


def _beyond(field: str, value: int, least: int, most: int) -> Hits:
    if value <= most:
        return None
    return {f"/{field}": {"meant": value // 1000} if least <= value // 1000 <= most else {}}
