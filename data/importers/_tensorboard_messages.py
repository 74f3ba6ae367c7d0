"""The part of TensorBoard's messages that numbers and settings are in, by their numbers on the wire.

`tensorboard` itself would bring grpcio, Werkzeug and Markdown; protobuf skips all other fields.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_FIELDS = {
    "Event": "1 wall_time double, 2 step int64, 3 file_version string|what, 4 graph_def bytes|what, "
    "5 summary Summary|what, 9 meta_graph_def bytes|what",
    "Summary": "1 value *Value",
    "Value": "1 tag string, 2 simple_value float|value, 4 image bytes|value, 5 histo bytes|value, "
    "6 audio bytes|value, 8 tensor Tensor|value, 9 metadata Metadata",
    "Metadata": "1 plugin_data PluginData",
    "PluginData": "1 plugin_name string, 2 content bytes",
    "Tensor": "1 dtype int32, 2 tensor_shape Shape, 4 tensor_content bytes, 5 float_val *float, "
    "6 double_val *double, 7 int_val *int32, 10 int64_val *int64, 11 bool_val *bool, 13 half_val *int32, "
    "16 uint32_val *uint32, 17 uint64_val *uint64",
    "Shape": "2 dim *Axis",
    "Axis": "1 size int64",
    "HParams": "3 session_start_info Session",
    "Session": "1 hparams *Setting",
    "Setting": "1 key string, 2 value Anything",
    "Anything": "2 number_value double|kind, 3 string_value string|kind, 4 bool_value bool|kind",
}
"""Number, name and type of each field; `*` repeats, and `|` names the choice that it is one of."""


def _message(name: str, fields: str) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for text in fields.split(", "):
        number, label, given = text.split()
        kind, _, choice = given.partition("|")
        field = message.field.add(name=label, number=int(number))
        field.label = (
            FieldDescriptorProto.LABEL_REPEATED
            if kind.startswith("*")
            else FieldDescriptorProto.LABEL_OPTIONAL
        )
        kind = kind.removeprefix("*")
        if kind in _FIELDS:
            field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".detour.{kind}"
        else:
            field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
        if choice:
            if not message.oneof_decl:
                message.oneof_decl.add(name=choice)
            field.oneof_index = 0
    return message


def _class(name: str) -> Any:
    return GetMessageClass(_POOL.FindMessageTypeByName(f"detour.{name}"))


_POOL = DescriptorPool()
_POOL.Add(
    FileDescriptorProto(
        name="detour/tensorboard.proto",
        package="detour",
        syntax="proto3",
        message_type=[_message(name, fields) for name, fields in _FIELDS.items()],
    )
)
Event = _class("Event")
HParams = _class("HParams")
