"""What stopped a group of tasks."""


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure, out of however many groups around it."""
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
