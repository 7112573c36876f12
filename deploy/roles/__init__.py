"""The five processes: gateway, shipper, worker, controller, trainer."""
