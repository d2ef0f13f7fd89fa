"""Requests and responses of the service."""

from typing import Annotated, Any

from ..errors import Errors, missing_extra

try:
    from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, model_validator
    from pydantic_core import PydanticCustomError
except ImportError as error:
    raise missing_extra("serve", error) from error


def check_unicode(value: str) -> str:
    """RETURNS (str): The value, if it can be sent back.
    RAISES (PydanticCustomError): If it holds half of a surrogate pair."""
    try:
        value.encode("utf8")
    except UnicodeEncodeError:  # its message quotes the value
        raise PydanticCustomError("unicode", "Input should be valid Unicode") from None
    return value


class Strict(BaseModel):
    """A part of a request that accepts no unknown keys."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def check_keys(cls, value: Any) -> Any:
        """Refuse too many keys with one error: a million errors would fill the memory."""
        if isinstance(value, dict) and len(value) > len(cls.model_fields):
            raise PydanticCustomError("extra_keys", Errors.OM761)
        return value


class Text(Strict):
    """A text and its id."""

    text: str
    id: Annotated[str, AfterValidator(check_unicode)] | None = Field(
        None, description="If there is none, the text's number"
    )


class Texts(Strict):
    """Texts to find entities in."""

    texts: Annotated[list[str | Text], FailFast()]


class Entity(BaseModel):
    """An entity. Score and dataset are null if it is not from `openmed_ner`. The other keys are
    present if the pipeline has `openmed_context`, or a component that links entities."""

    start: int = Field(description="Characters, as Python counts them (code points)")
    end: int
    label: str
    score: float | None
    text: str
    dataset: str | None
    is_negated: bool | None = None
    is_historical: bool | None = None
    is_hypothetical: bool | None = None
    is_family: bool | None = None
    context: str | None = None
    context_score: float | None = None
    kb_id: str | None = Field(None, description="The concept of a knowledge base")


class Row(BaseModel):
    """The entities of a text, or an error."""

    id: str | int
    entities: list[Entity] | None
    error: str | None


class Rows(BaseModel):
    """One row per text, in the same order."""

    results: list[Row]


class Component(BaseModel):
    """A component of the pipeline. Datasets, domains and checkpoint are `openmed_ner`'s."""

    name: str
    factory: str
    labels: list[str]
    datasets: list[str] = []
    domains: list[str] = []
    checkpoint: str | None = None


class Pipeline(BaseModel):
    """The pipeline that is served."""

    name: str
    version: str
    lang: str
    components: list[Component]
    labels: list[str]
    datasets: list[str]
    domains: list[str]
    fingerprint: str = Field(description="A hash of all settings and weights")


class Health(BaseModel):
    """Whether the service is working."""

    status: str


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str = Field(description="Begins with a code: [OM751]")


class Place(BaseModel):
    """Where in a request something is wrong."""

    loc: list[str | int]
    msg: str


class Malformed(Problem):
    """Why a request was not understood."""

    errors: list[Place]
