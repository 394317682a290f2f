"""Protocol buffers without generated code: bytes and text to messages and back, by small schemas.

Large values stay in the memory-mapped file: a decoded `bytes` field is a view of it.
"""

from .decode import decode as decode
from .encode import encode as encode
from .schema import Field as Field
from .schema import Message as Message
from .schema import MessageType as MessageType
from .schema import Schema as Schema
from .text import parse_text as parse_text
