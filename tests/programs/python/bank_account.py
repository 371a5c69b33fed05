from dataclasses import dataclass, field
from datetime import date


class InsufficientFunds(Exception):
    def __init__(self, balance, amount):
        super().__init__(f"balance is {balance:.2f}, but {amount:.2f} was requested")
        self.balance = balance
        self.amount = amount


@dataclass
class Account:
    owner: str
    balance: float = 0.0
    history: list = field(default_factory=list)

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        self.balance += amount
        self.history.append(("deposit", amount, date(2024, 1, 15)))
        return self

    def withdraw(self, amount):
        if amount > self.balance:
            raise InsufficientFunds(self.balance, amount)
        self.balance -= amount
        self.history.append(("withdraw", amount, date(2024, 1, 16)))
        return self


account = Account("Ada").deposit(100).withdraw(30)
print(account)
try:
    account.withdraw(500)
except InsufficientFunds as error:
    print("Refused:", error)
for kind, amount, day in account.history:
    print(f"{day:%d.%m.%Y} {kind:>8} {amount:8.2f}")
